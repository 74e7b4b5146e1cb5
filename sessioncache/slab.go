package sessioncache

import (
	"encoding/binary"
	"math/bits"
	"sync"
)

// slabs are memory for many records. It is got in runs of slabSize, each cut into slots of one size, so that the garbage collector has little
// to do with it: a million records on the heap are a million things to find and mark in each of its cycles, each in a place of its own, which
// takes a quarter of a second. Some ten thousand runs without a pointer in them take next to nothing.
//
// A record is got at by its handle. Whoever has the handle of one that was removed, whose slot may have another by now, is told that there is
// none, until as many others have come as there are names: so whoever gets a record looks whose it is. slabs is safe for concurrent use; it is
// divided, so that it is seldom waited for.
type slabs struct{ parts [slabParts]slabPart }

const (
	slabSize  = 64 << 10
	slabParts = 1 << partBits
)

// A handle says where a record is: the part, the number of the run, the slot, and which of those that have been in the part it is. The zero
// handle is of none.
type handle uint64

const (
	partBits = 4
	runBits  = 20
	slotBits = 12
	nameBits = 64 - partBits - runBits - slotBits
)

func newHandle(part, run, slot int, name uint32) handle {
	return handle(part)<<(64-partBits) | handle(run)<<(slotBits+nameBits) | handle(slot)<<nameBits | handle(name)
}

func (h handle) part() int    { return int(h >> (64 - partBits)) }
func (h handle) run() int     { return int(h>>(slotBits+nameBits)) & (1<<runBits - 1) }
func (h handle) slot() int    { return int(h>>nameBits) & (1<<slotBits - 1) }
func (h handle) name() uint32 { return uint32(h) & (1<<nameBits - 1) }

// put stores r and returns its handle. It returns the zero handle if there is no room for it, for which there would have to be many gigabytes.
func (s *slabs) put(r record) handle {
	part := int(r[len(digest{})-1]) % slabParts // which spreads evenly
	return s.parts[part].put(part, r)
}

// get returns the record of h in memory of its own, if it is still there.
func (s *slabs) get(h handle) (record, bool) {
	p := &s.parts[h.part()]
	p.RLock()
	defer p.RUnlock()
	if slot := p.slot(h); slot != nil {
		return record(slot[slotHead:][:binary.LittleEndian.Uint32(slot[4:])]), true
	}
	return "", false
}

// remove gives back the room of the record of h, if it is still there.
func (s *slabs) remove(h handle) {
	p := &s.parts[h.part()]
	p.Lock()
	defer p.Unlock()
	if slot := p.slot(h); slot != nil {
		clear(slot[:slotHead])
		p.free(h.run(), h.slot())
	}
}

// A slabPart is a part of slabs with a lock of its own.
type slabPart struct {
	sync.RWMutex
	last  uint32         // name that was given to a record
	runs  []*run         // by number; nil where one was given back
	gone  []int          // the numbers of those
	roomy map[int][]*run // those with a free slot, by the size of their slots
}

// A run is memory for records of about one size.
type run struct {
	number, size int
	memory       []byte
	free         [slabSize / slotStep / 64]uint64 // a bit for each slot
	left         int                              // free slots
	place        int                              // among the roomy ones, if it is one of them
}

// A slot begins with the name of its record, or zero, and its length.
const (
	slotHead = 8
	slotStep = 1 << 4 // slots differ in size by that at least
)

// slotSize returns the size of the slots for records of n bytes: no more than an eighth more than they need.
func slotSize(n int) int {
	n += slotHead
	step := max(slotStep, 1<<max(0, bits.Len(uint(n-1))-4))
	return (n + step - 1) / step * step
}

func (r *run) slots() int { return len(r.memory) / r.size }

func (p *slabPart) put(part int, r record) handle {
	size := slotSize(len(r))
	p.Lock()
	defer p.Unlock()
	roomy := p.roomy[size]
	if len(roomy) == 0 {
		if roomy = p.grow(size); roomy == nil {
			return 0
		}
	}
	into := roomy[len(roomy)-1]
	i := into.take()
	if into.left == 0 {
		roomy[len(roomy)-1] = nil
		p.roomy[size] = roomy[:len(roomy)-1]
	}
	if p.last = (p.last + 1) & (1<<nameBits - 1); p.last == 0 {
		p.last = 1
	}
	slot := into.memory[i*size:][:size]
	binary.LittleEndian.PutUint32(slot, p.last)
	binary.LittleEndian.PutUint32(slot[4:], uint32(len(r)))
	copy(slot[slotHead:], r)
	return newHandle(part, into.number, i, p.last)
}

// grow adds a run with slots of a size, and returns the roomy ones of that size. It returns nil if there are too many runs.
func (p *slabPart) grow(size int) []*run {
	slots := max(1, slabSize/size)
	r := &run{size: size, memory: make([]byte, slots*size), left: slots, place: len(p.roomy[size])}
	for i := range slots {
		r.free[i/64] |= 1 << (i % 64)
	}
	switch n := len(p.gone) - 1; {
	case n >= 0:
		r.number, p.gone = p.gone[n], p.gone[:n]
		p.runs[r.number] = r
	case len(p.runs) == 1<<runBits:
		return nil
	default:
		r.number = len(p.runs)
		p.runs = append(p.runs, r)
	}
	if p.roomy == nil {
		p.roomy = map[int][]*run{}
	}
	p.roomy[size] = append(p.roomy[size], r)
	return p.roomy[size]
}

// take takes a free slot of r, which has one.
func (r *run) take() (slot int) {
	for i, free := range r.free {
		if free != 0 {
			r.free[i] &= free - 1
			r.left--
			return i*64 + bits.TrailingZeros64(free)
		}
	}
	panic("no slot is free")
}

// slot returns the slot of h, or nil if it has not the record of h.
func (p *slabPart) slot(h handle) []byte {
	if h.run() >= len(p.runs) {
		return nil
	}
	r := p.runs[h.run()]
	if r == nil || h.slot() >= r.slots() {
		return nil
	}
	slot := r.memory[h.slot()*r.size:][:r.size]
	if name := binary.LittleEndian.Uint32(slot); name == 0 || name != h.name() {
		return nil
	}
	return slot
}

// free makes a slot free. A run of which all are is given back.
func (p *slabPart) free(number, slot int) {
	r := p.runs[number]
	r.free[slot/64] |= 1 << (slot % 64)
	if r.left++; r.left == 1 {
		r.place = len(p.roomy[r.size])
		p.roomy[r.size] = append(p.roomy[r.size], r)
	}
	if r.left < r.slots() {
		return
	}
	roomy := p.roomy[r.size]
	end := roomy[len(roomy)-1]
	roomy[r.place], end.place = end, r.place
	roomy[len(roomy)-1] = nil
	p.roomy[r.size] = roomy[:len(roomy)-1]
	p.runs[number] = nil
	p.gone = append(p.gone, number)
}

package sessioncache

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/ristretto/v2"
	lru "github.com/hashicorp/golang-lru/v2"
)

// offerEvery is how often an entry that lives in the window is offered to the hot table again.
const offerEvery = 100 * time.Millisecond

// bounded is a golang-lru that counts what it evicts. Deadlines live in the values and are not its business.
type bounded[V any] struct {
	*lru.Cache[digest, V]
	size      int
	evictions *atomic.Uint64
}

// newBounded panics if size is not positive.
func newBounded[V any](size int) bounded[V] {
	table, err := lru.New[digest, V](size)
	if err != nil {
		panic(err)
	}
	return bounded[V]{table, size, new(atomic.Uint64)}
}

func (b *bounded[V]) add(d digest, v V) {
	if b.Add(d, v) {
		b.evictions.Add(1)
	}
}

func (b *bounded[V]) evict(d digest) {
	if b.Remove(d) {
		b.evictions.Add(1)
	}
}

func (b *bounded[V]) full() bool { return b.Len() >= b.size }

func (b *bounded[V]) stats() Table {
	return Table{Entries: b.Len(), Capacity: b.size, Evictions: b.evictions.Load()}
}

// gates is into how many locks the hot table's life is divided, so that hits of different sessions share none.
const gates = 64

// A hotTable holds the many: a ristretto cache, lossy on purpose. A write may be dropped or refused, a second write of a new key may
// be lost while the first stays, and a deletion may overtake a queued write. So nothing relies on what it holds: an entry is checked
// in full whenever it is read, and entries are replaced, and deleted one by one only where a newer one cannot be remembered.
type hotTable struct {
	cache     *ristretto.Cache[uint64, handle]
	records   slabs
	refs      *references
	awake     []atomic.Pointer[entry] // of the records that were looked at last, one for each place
	evictions atomic.Uint64           // for want of room
	refusals  atomic.Uint64           // offers that ristretto has refused or dropped

	// Every use passes a gate, since ristretto panics when it is used while it closes. Only close shuts them, all at once.
	gates [gates]gate

	admin sync.Mutex // keeps clear, close and stats apart
}

type gate struct {
	sync.RWMutex
	_ [40]byte // gates share no cache line
}

// maxAwake is how many sessions can be looked at without one of them having to be woken, at most: those that are in use in the same minute.
// Two of them may share a place, and then wake each other up.
const maxAwake = 1 << 13

// newHotTable returns a table for so many sessions, whose records were made with refs.
func newHotTable(size int, refs *references) (*hotTable, error) {
	h := &hotTable{refs: refs, awake: make([]atomic.Pointer[entry], min(1<<bits.Len(uint(8*size)), maxAwake))}
	cache, err := ristretto.NewCache(&ristretto.Config[uint64, handle]{
		NumCounters:        4 * int64(size), // 14 bytes of memory a session; ten times as many as sessions are better by a hair, and take 48
		MaxCost:            int64(size),     // an entry costs 1, so that as many fit as the operator said
		IgnoreInternalCost: true,
		BufferItems:        64,
		// A digest is spread evenly already. The conflict hash stays unused: get compares the whole digest.
		KeyToHash: func(key uint64) (uint64, uint64) { return key, 0 },
		OnEvict: func(i *ristretto.Item[handle]) {
			// Ristretto calls this for expired and for cleared items too. Only a victim of a newcomer has a cost and no expiration.
			if i.Cost > 0 && i.Expiration.IsZero() {
				h.evictions.Add(1)
			}
		},
		OnReject: func(*ristretto.Item[handle]) { h.refusals.Add(1) },
		OnExit:   h.records.remove, // of whatever the cache has no more, or never had
	})
	if err != nil {
		return nil, fmt.Errorf("create hot table: %w", err)
	}
	h.cache = cache
	return h, nil
}

// maxJoined is how many joined credentials of one session are remembered. Browsers have one, or one more while a cookie is renewed.
const maxJoined = 4

// A joinedTable holds what is remembered of credentials that are made of several cookies. Whoever has one valid cookie can make as many
// of these as they like, by adding others to it. So they are apart from all others, where they push nobody out, and of one session only
// the last few are held, so that they do not push one another out either.
type joinedTable struct {
	entries   bounded[*entry]
	bySession bounded[*[maxJoined]digest] // the latest first; written under Cache.mu
}

func newJoinedTable(size int) *joinedTable {
	return &joinedTable{entries: newBounded[*entry](size), bySession: newBounded[*[maxJoined]digest](size)}
}

// add remembers e, which is about the session whose digest is given, and forgets the oldest one of the same session if there are too
// many. Cache.mu is held.
func (t *joinedTable) add(session digest, e *entry) {
	ds, ok := t.bySession.Get(session)
	if !ok {
		ds = new([maxJoined]digest)
		t.bySession.add(session, ds)
	}
	i := slices.Index(ds[:], e.digest)
	if i < 0 {
		i = maxJoined - 1
		t.entries.evict(ds[i])
	}
	copy(ds[1:i+1], ds[:i])
	ds[0] = e.digest
	t.entries.add(e.digest, e)
}

// purge forgets all.
func (t *joinedTable) purge() {
	t.entries.Purge()
	t.bySession.Purge()
}

func hotKey(d digest) uint64 { return binary.LittleEndian.Uint64(d[:8]) }

func (h *hotTable) gate(d digest) *gate { return &h.gates[d[15]%gates] }

// get returns the entry of d, or nil.
func (h *hotTable) get(d digest) *entry {
	g := h.gate(d)
	g.RLock()
	at, ok := h.cache.Get(hotKey(d))
	g.RUnlock()
	if !ok {
		return nil
	}
	place := h.place(d)
	if e := place.Load(); e != nil && e.digest == d && e.heldAt.Load() == uint64(at) {
		return e
	}
	r, ok := h.records.get(at)
	if !ok || !r.of(d) {
		return nil
	}
	e := r.wake(h.refs)
	e.heldAt.Store(uint64(at))
	place.Store(e)
	return e
}

// place is where the entry of d is when it is awake.
func (h *hotTable) place(d digest) *atomic.Pointer[entry] {
	return &h.awake[binary.LittleEndian.Uint32(d[8:])%uint32(len(h.awake))]
}

// offer asks the table to hold e for as long as it is held at all. It may decline.
func (h *hotTable) offer(e *entry, at moment) {
	ttl := e.staleUntil + heldFor - at.mono
	if left := e.endsAt - at.wall; left < ttl.Milliseconds() {
		ttl = time.Duration(left) * time.Millisecond
	}
	if ttl <= 0 {
		return // to ristretto zero means for ever
	}
	// A little longer, each its own: ristretto removes what expires in batches, and many that came together should not go together.
	ttl += rand.N(ttl/8 + 1)
	record := h.records.put(e.record)
	g := h.gate(e.digest)
	g.RLock()
	taken := record != 0 && h.cache.SetWithTTL(hotKey(e.digest), record, 1, ttl)
	g.RUnlock()
	if !taken {
		h.records.remove(record)
		h.refusals.Add(1)
		return
	}
	e.heldAt.Store(uint64(record))
	h.place(e.digest).Store(e)
}

// drop deletes the entry of d.
func (h *hotTable) drop(d digest) {
	g := h.gate(d)
	g.RLock()
	h.cache.Del(hotKey(d))
	g.RUnlock()
	h.place(d).Store(nil)
}

// clear gives the memory back. What is offered meanwhile may survive.
func (h *hotTable) clear() {
	h.admin.Lock()
	defer h.admin.Unlock()
	h.cache.Clear()
	h.sleep()
}

// close ends the goroutines of the table and waits for them. Afterwards the table is empty and stays so.
func (h *hotTable) close() {
	h.admin.Lock()
	defer h.admin.Unlock()
	for i := range h.gates {
		h.gates[i].Lock()
		defer h.gates[i].Unlock()
	}
	h.cache.Close()
	h.sleep()
}

// sleep lets go of all entries that are awake.
func (h *hotTable) sleep() {
	for i := range h.awake {
		h.awake[i].Store(nil)
	}
}

func (h *hotTable) stats() (t Table, rejections uint64) {
	h.admin.Lock()
	defer h.admin.Unlock()
	size := h.cache.MaxCost()
	t = Table{Entries: int(size - h.cache.RemainingCost()), Capacity: int(size), Evictions: h.evictions.Load()}
	return t, h.refusals.Load()
}

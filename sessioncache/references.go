package sessioncache

import (
	"strings"
	"sync"
	"sync/atomic"
)

const (
	maxReferences = 8  // of services whose statements have several shapes
	worthFolding  = 64 // bytes of text
)

// references are what the records of one Cache are folded with.
type references struct {
	memos      shapes
	statements shapes // and what is told in their place
	folders    sync.Pool
}

func newReferences() *references {
	r := &references{folders: sync.Pool{New: func() any { return new(folder) }}}
	for _, s := range []*shapes{&r.memos, &r.statements} {
		s.learned.Store(&[]*reference{newReference("")})
	}
	return r
}

// forget drops what is waiting.
func (r *references) forget() {
	r.memos.forget()
	r.statements.forget()
}

// shapes are what texts of one kind are folded with. They are learned from the texts themselves: what two of them have in common, and so
// nothing that only one of them tells. The two are about different people.
type shapes struct {
	learned atomic.Pointer[[]*reference] // the first is empty; there are only ever more of them
	latest  atomic.Uint32                // which of them fitted last

	mu      sync.Mutex
	waiting string // a text that none of them fits, until there is another one to compare it with
	whose   string // the identity that it is about
}

// appendText appends to dst a text about the identity whose, folded, and what it takes to unfold it. ids are a further reference of this text
// only.
func (s *shapes) appendText(f *folder, dst []byte, ids, whose string, text []byte) []byte {
	latest := int(s.latest.Load()) // before the list, which may grow between the two, and has it then
	all := *s.learned.Load()
	if len(text) < worthFolding {
		return f.appendBy(dst, 0, all[0], ids, text)
	}
	before := len(dst)
	dst = f.appendBy(dst, latest, all[latest], ids, text)
	takes := len(dst) - before
	for i := 0; i < len(all) && takes > len(text)/2; i++ {
		if other := f.appendBy(nil, i, all[i], ids, text); len(other) < takes {
			dst, takes = append(dst[:before], other...), len(other)
			s.latest.Store(uint32(i))
		}
	}
	if takes > len(text)/2 && len(all) < maxReferences {
		s.learn(f, ids, whose, text, takes)
	}
	return dst
}

// appendBy appends the number of the reference, too.
func (f *folder) appendBy(dst []byte, i int, shared *reference, ids string, text []byte) []byte {
	return f.append(append(appendInt(dst, len(text)), byte(i)), shared, ids, text)
}

// learn takes a text as an example of those that are worth a reference of their own, since with the best one it takes so many bytes.
func (s *shapes) learn(f *folder, ids, whose string, text []byte, takes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := *s.learned.Load()
	example := s.waiting
	if example != "" && s.whose == whose {
		return
	}
	s.waiting, s.whose = string(text), strings.Clone(whose)
	if example == "" || len(all) == maxReferences {
		return
	}
	shared := newReference(common(example, s.waiting))
	if len(f.append(nil, shared, ids, text)) > takes/4*3 {
		return
	}
	all = append(all[:len(all):len(all)], shared)
	s.learned.Store(&all)
	s.latest.Store(uint32(len(all) - 1))
	s.waiting, s.whose = "", ""
}

func (s *shapes) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting, s.whose = "", ""
}

// text takes the next text from the front of folded, which was folded with the same ids.
func (s *shapes) text(folded *reader, ids string) []byte {
	text := make([]byte, 0, folded.int())
	shared := (*s.learned.Load())[folded.byte()].text
	return unfold(text, folded, shared, ids)
}

// skipText goes past the next text in folded.
func skipText(folded *reader) {
	folded.int()
	folded.byte()
	skip(folded)
}

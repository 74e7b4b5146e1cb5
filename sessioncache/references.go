package sessioncache

import (
	"strings"
	"sync"
	"sync/atomic"
)

const (
	maxReferences = 8   // of services whose statements have several shapes
	worthFolding  = 256 // bytes of text
)

// references are what the statements of one Cache are folded with. They are learned from the statements themselves: what two of them have in
// common, and so nothing that only one of them tells. The two are about different people.
type references struct {
	learned atomic.Pointer[[]string] // the first is empty; there are only ever more of them
	latest  atomic.Uint32            // which of them fitted last

	mu      sync.Mutex
	waiting string // a statement that none of them fits, until there is another one to compare it with
	whose   string // the identity that it is about
}

func newReferences() *references {
	r := new(references)
	r.learned.Store(&[]string{""})
	return r
}

// appendText appends to dst a text about the identity whose, folded, and what it takes to unfold it. ids are a further reference of this text
// only.
func (r *references) appendText(dst []byte, ids, whose, text string) []byte {
	if len(text) < worthFolding {
		return appendFoldedBy(dst, 0, ids, text)
	}
	latest := int(r.latest.Load()) // before the list, which may grow between the two, and has it then
	all := *r.learned.Load()
	best := appendFoldedBy(nil, latest, all[latest]+ids, text)
	for i := 0; i < len(all) && len(best) > len(text)/2; i++ {
		if other := appendFoldedBy(nil, i, all[i]+ids, text); len(other) < len(best) {
			best = other
			r.latest.Store(uint32(i))
		}
	}
	if len(best) > len(text)/2 && len(all) < maxReferences {
		r.learn(whose, text, len(best))
	}
	return append(dst, best...)
}

func appendFoldedBy(dst []byte, i int, reference, text string) []byte {
	return appendFolded(append(appendInt(dst, len(text)), byte(i)), reference, text)
}

// learn takes a text as an example of those that are worth a reference of their own, since with the best one it takes so many bytes.
func (r *references) learn(whose, text string, takes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := *r.learned.Load()
	example := r.waiting
	if example != "" && r.whose == whose {
		return
	}
	r.waiting, r.whose = strings.Clone(text), strings.Clone(whose)
	if example == "" || len(all) == maxReferences {
		return
	}
	shared := common(example, text)
	if len(appendFolded(nil, shared, text)) > takes/4*3 {
		return
	}
	all = append(all[:len(all):len(all)], shared)
	r.learned.Store(&all)
	r.latest.Store(uint32(len(all) - 1))
	r.waiting, r.whose = "", ""
}

// forget drops the statement that is waiting.
func (r *references) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting, r.whose = "", ""
}

// text takes the next text from the front of folded, which was folded with the same ids.
func (r *references) text(folded *reader, ids string) []byte {
	text := make([]byte, 0, folded.int())
	reference := (*r.learned.Load())[folded.byte()] + ids
	return unfold(text, folded, reference)
}

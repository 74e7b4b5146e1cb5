package sessiontoken

import (
	"crypto/sha256"
	"math"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// An entry is one reply, and what was known when it was asked for. It is immutable.
type entry struct {
	session, identity string // for which it was asked
	number            uint64 // of the latest revocation before the question
	reply             upstream.Reply
	until             time.Time
}

// overhead is about what an entry takes beside its reply.
const overhead = 512

func (e *entry) size() int {
	n := overhead + len(e.reply.Body)
	for _, f := range e.reply.Header {
		n += len(f.Name) + len(f.Value)
	}
	return n
}

// A table holds entries of so many bytes. Those that were used the longest ago make room.
type table struct {
	mu    sync.Mutex
	most  int
	bytes int
	lru   *simplelru.LRU[[sha256.Size]byte, *entry]
}

func newTable(bytes int) *table {
	t := &table{most: bytes}
	lru, err := simplelru.NewLRU(math.MaxInt, func(_ [sha256.Size]byte, e *entry) { t.bytes -= e.size() })
	if err != nil {
		panic(err) // the size is positive
	}
	t.lru = lru
	return t
}

// get returns the entry of a key, or nil.
func (t *table) get(key [sha256.Size]byte) *entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	e, _ := t.lru.Get(key)
	return e
}

func (t *table) add(key [sha256.Size]byte, e *entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lru.Remove(key)
	t.bytes += e.size()
	t.lru.Add(key, e)
	for t.bytes > t.most {
		t.lru.RemoveOldest()
	}
}

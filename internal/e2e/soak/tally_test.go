package soak

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// A tally keeps what happened. It is safe for concurrent use.
type tally struct {
	mu      sync.Mutex
	counts  map[string]map[string]int // by what was done and what came of it
	first   []string                  // of what was wrong
	amiss   int
	total   atomic.Int64
	trouble map[string]int
}

// enough is how much of what was wrong is kept.
const enough = 30

// count counts one thing that was done.
func (t *tally) count(what, outcome string) {
	t.total.Add(1)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts == nil {
		t.counts = map[string]map[string]int{}
	}
	if t.counts[what] == nil {
		t.counts[what] = map[string]int{}
	}
	t.counts[what][outcome]++
}

// troubled counts one thing that was broken.
func (t *tally) troubled(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.trouble == nil {
		t.trouble = map[string]int{}
	}
	t.trouble[what]++
}

// wrong notes what should never be.
func (t *tally) wrong(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.amiss++; len(t.first) < enough {
		t.first = append(t.first, fmt.Sprintf(format, args...))
	}
}

// String returns a table of what happened.
func (t *tally) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	line := func(name string, counts map[string]int) {
		fmt.Fprintf(&b, "  %-24s", name)
		for _, key := range slices.Sorted(maps.Keys(counts)) {
			fmt.Fprintf(&b, " %s %d;", key, counts[key])
		}
		b.WriteByte('\n')
	}
	for _, what := range slices.Sorted(maps.Keys(t.counts)) {
		line(what, t.counts[what])
	}
	line("trouble", t.trouble)
	return b.String()
}

package sessioncache

import (
	"cmp"
	"encoding/hex"
	"slices"
	"time"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// A Remembered is what the cache would serve for one credential, of which it tells a tag and no more.
type Remembered struct {
	Session *upstream.Session
	Tag     string        // as of [Cache.Tag]
	Table   string        // where it is: hot, window or joined, see [Stats]
	Age     time.Duration // since the service was asked
	Fresh   bool          // else stale
}

// Remembered returns what is remembered of sessions for which want reports true, one for each of their credentials, by identity and session.
// It returns at most limit of them, whichever it finds first, and reports whether there are more. It is for people: unless it finds
// limit of them it goes through all tables, during which the hot table delays what is written to it. Look-ups are not counted, and what is
// remembered is not prolonged.
func (c *Cache) Remembered(limit int, want func(*upstream.Session) bool) (list []Remembered, more bool) {
	at := c.now()
	newest := map[digest]*entry{} // limit of them at most
	tables := map[digest]string{}
	from := func(table string) func(*entry) bool {
		return func(e *entry) (full bool) {
			if !e.servable(at) || !c.stands(e) || !want(e.session) {
				return false
			}
			other, known := newest[e.digest]
			switch {
			case known && other.askedAt >= e.askedAt: // the table before is asked before this one
			case !known && len(newest) == limit:
				more = true
				return true
			default:
				newest[e.digest], tables[e.digest] = e, table
			}
			return false
		}
	}
	c.hot.each(from("hot"))
	eachOf(&c.window, from("window"))
	eachOf(&c.joined.entries, from("joined"))
	for d, e := range newest {
		list = append(list, Remembered{e.session, hex.EncodeToString(d[:4]), tables[d], e.age(at), e.fresh(at)})
	}
	slices.SortFunc(list, func(a, b Remembered) int {
		return cmp.Or(cmp.Compare(a.Session.IdentityID, b.Session.IdentityID), cmp.Compare(a.Session.ID, b.Session.ID), cmp.Compare(a.Tag, b.Tag))
	})
	return list, more
}

// each calls f with every entry that the table holds, until f reports true.
func (h *hotTable) each(f func(*entry) bool) {
	h.admin.Lock() // it must not close meanwhile
	defer h.admin.Unlock()
	h.cache.IterValues(func(at handle) bool {
		r, ok := h.records.get(at)
		return ok && f(r.wake(h.refs))
	})
}

// eachOf calls f with every entry of a table, until f reports true.
func eachOf(table *bounded[*entry], f func(*entry) bool) {
	for _, e := range table.Values() {
		if f(e) {
			return
		}
	}
}

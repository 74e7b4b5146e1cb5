package sessioncache

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// count returns how many records there are, and in how many runs.
func (s *slabs) count() (records, runs int) {
	for i := range s.parts {
		for _, r := range s.parts[i].runs {
			if r != nil {
				records += r.slots() - r.left
				runs++
			}
		}
	}
	return records, runs
}

// padded returns a record of n bytes that tells whose it is.
func padded(who byte, n int) record {
	return record(strings.Repeat(string([]byte{who}), n))
}

// TestSlabs holds that a handle leads to its own record until that is removed, and to nothing after that, whatever is in its place.
func TestSlabs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s slabs
		kept := map[handle]record{}
		var known []handle
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			if len(known) == 0 || rapid.IntRange(0, 2).Draw(t, "do") > 0 {
				sizes := []int{16, 17, 100, 120, 121, 500, 5000, 30_000, slabSize - slotHead, slabSize, 3 * slabSize}
				r := padded(rapid.Byte().Draw(t, "who"), rapid.SampledFrom(sizes).Draw(t, "size"))
				h := s.put(r)
				if slices.Contains(known, h) || h == 0 {
					t.Fatalf("handle %x is given to two", h)
				}
				kept[h], known = r, append(known, h)
				continue
			}
			h := rapid.SampledFrom(known).Draw(t, "handle") // also one that was removed before
			s.remove(h)
			delete(kept, h)
		}
		for _, h := range append(known, 0, ^handle(0)) {
			want, ok := kept[h]
			if got, found := s.get(h); found != ok || got != want {
				t.Fatalf("%x leads to %d bytes, %v, want %d, %v", h, len(got), found, len(want), ok)
			}
		}
		if records, _ := s.count(); records != len(kept) {
			t.Fatalf("there are %d records, want %d", records, len(kept))
		}
		for h := range kept {
			s.remove(h)
		}
		if records, runs := s.count(); records != 0 || runs != 0 {
			t.Fatalf("%d records in %d runs are left", records, runs)
		}
	})
}

// A slot is hardly larger than its record, and runs are filled before there are new ones.
func TestSlabsWasteLittle(t *testing.T) {
	for n := 16; n < 3*slabSize; n++ {
		if size := slotSize(n); size < n+slotHead || size > (n+slotHead)*9/8+slotStep || slabSize/size >= 1<<slotBits {
			t.Fatalf("a record of %d bytes gets %d", n, size)
		}
	}
	var s slabs
	var handles []handle
	d := digest{}
	for range 10_000 {
		d[15] = byte(rand.Uint32())
		handles = append(handles, s.put(record(d[:])+padded('a', 400)))
	}
	for range 20_000 { // in their place
		i := rand.IntN(len(handles))
		s.remove(handles[i])
		handles[i] = s.put(record(append(d[:15:15], byte(rand.Uint32()))) + padded('a', 400))
	}
	if _, runs := s.count(); runs > 10_000*450/slabSize+2*slabParts {
		t.Errorf("there are %d runs", runs)
	}
}

// TestHotTableLeaksNoRecord holds that the records are those that ristretto has, whichever writes it loses.
func TestHotTableLeaksNoRecord(t *testing.T) {
	h, err := newHotTable(200, newReferences())
	if err != nil {
		t.Fatal(err)
	}
	var users sync.WaitGroup
	for user := range 4 {
		users.Go(func() {
			random := rand.New(rand.NewPCG(uint64(user), 0))
			for n := range 20_000 {
				d := digest{byte(random.Uint32()), byte(random.Uint32() % 4), 15: byte(random.Uint32())}
				d[15] = d[0]
				switch session := fmt.Sprint("S", d[0], "-", d[1]); random.IntN(8) {
				case 0:
					h.drop(d)
				case 1, 2, 3:
					if e := h.get(d); e != nil && e.session.ID != session {
						t.Errorf("%s is found as %s", e.session.ID, session)
					}
				default:
					a := upstream.Answer{Session: &upstream.Session{ID: session, IdentityID: "I"}, BelieveFor: upstream.Unlimited}
					e := newRecord(newEntry(d, a, 0, time.Duration(n), &Config{FreshFor: time.Hour}), h.refs, true).wake(h.refs)
					h.offer(e, moment{})
				}
			}
		})
	}
	users.Wait()
	h.cache.Wait()
	want := 0
	h.each(func(*entry) bool { want++; return false })
	if records, _ := h.records.count(); records != want || want == 0 {
		t.Errorf("there are %d records of %d entries", records, want)
	}
	h.clear()
	if records, runs := h.records.count(); records != 0 || runs != 0 {
		t.Errorf("%d records in %d runs are left when the table is clear", records, runs)
	}
	h.close()
	a := upstream.Answer{Session: &upstream.Session{ID: "S", IdentityID: "I"}, BelieveFor: upstream.Unlimited}
	h.offer(newRecord(newEntry(digest{}, a, 0, 0, &Config{FreshFor: time.Hour}), h.refs, true).wake(h.refs), moment{})
	if records, _ := h.records.count(); records != 0 {
		t.Errorf("%d records are left of what was refused", records)
	}
}

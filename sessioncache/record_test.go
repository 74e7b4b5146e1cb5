package sessioncache

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// statement is what services say: the same for everybody but for some ids and names.
func statement(n uint64) string {
	r := rand.New(rand.NewPCG(n, 0))
	return fmt.Sprintf(`{"id":"%016x%016x","active":true,"expires_at":"2026-11-23T11:05:12.%dZ","authenticator_assurance_level":"aal1",`+
		`"authentication_methods":[{"method":"password","aal":"aal1"}],"identity":{"id":"%016x%016x","schema_id":"default","state":"active",`+
		`"traits":{"email":"person-%d@example.test"},"verifiable_addresses":[{"value":"person-%d@example.test","verified":true,"via":"email"}],`+
		`"recovery_addresses":[{"value":"person-%d@example.test","via":"email"}],"metadata_public":null}}`,
		r.Uint64(), r.Uint64(), r.IntN(1e9), r.Uint64(), r.Uint64(), n, n, n)
}

// FuzzFold holds that what is folded unfolds to the same, whatever it is folded with.
func FuzzFold(f *testing.F) {
	f.Add("", "")
	f.Add("", strings.Repeat("a", 1000))
	f.Add("00010", "0000000000")
	f.Add(strings.Repeat("ab", 50), strings.Repeat("ba", 50))
	f.Add("the end of this continues in ", "continues in the text: continues in the text")
	f.Add(statement(1), statement(2))
	f.Add(string(make([]byte, 20)), string(make([]byte, 30)))
	f.Fuzz(func(t *testing.T, reference, text string) {
		folds := new(folder)
		whole := string(append(folds.append(nil, newReference(""), reference, []byte(text)), "rest"...))
		folded, skipped := new(reader), &reader{whole}
		skip(skipped)
		for _, shared := range []int{0, len(reference) / 3, max(0, len(reference)-5), len(reference)} {
			again := string(append(folds.append(nil, newReference(reference[:shared]), reference[shared:], []byte(text)), "rest"...))
			if again != whole {
				t.Errorf("%q folded with %q is %q, and %q if only %d bytes are shared", text, reference, whole, again, shared)
			}
			folded.rest = whole
			if got := unfold(make([]byte, 0, len(text)), folded, reference[:shared], reference[shared:]); string(got) != text {
				t.Errorf("%q folded with %q is %q", text, reference, got)
			}
			if folded.rest != "rest" || skipped.rest != "rest" {
				t.Errorf("%q is left, and %q after it was skipped", folded.rest, skipped.rest)
			}
		}
		if shared := common(reference, text); len(shared) > 0 && len(reference) < shortestCopy {
			t.Errorf("%q is said to be in %q", shared, reference)
		}
	})
}

// The references are learned from what comes, and tell nothing that only one statement does.
func TestReferences(t *testing.T) {
	refs := &newReferences().statements
	f := func(text string, most int) {
		t.Helper()
		folded := refs.appendText(new(folder), []byte("before"), "ids of it", text[:min(40, len(text))], []byte(text))
		if got := refs.text(&reader{string(folded[len("before"):])}, "ids of it"); string(got) != text {
			t.Fatalf("%q became %q", text, got)
		}
		if n := len(folded) - len("before"); n > most {
			t.Errorf("%d bytes are told in %d, want at most %d", len(text), n, most)
		}
	}
	f("short", 9)
	f(statement(1), len(statement(1)))
	f(statement(2), len(statement(2)))
	for n := range uint64(100) {
		f(statement(n), len(statement(n))/2)
	}
	other := func(n uint64) string { return strings.ToUpper(statement(n)) + statement(n)[:100] }
	f(other(1), 1000)
	f(other(2), 1000)
	for n := range uint64(100) {
		f(other(n), len(other(n))/2)
		f(statement(n), len(statement(n))/2)
	}
	noise := func(n uint64) string {
		r, b := rand.New(rand.NewPCG(n, 1)), make([]byte, 1000)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return string(b)
	}
	for n := range uint64(100) {
		f(noise(n), 1010)
	}
	f(strings.Repeat("x", 60<<10), 1000)
	f(strings.Repeat("x", 64<<10), 64<<10+10)
	learned := *refs.learned.Load()
	if len(learned) != 3 {
		t.Errorf("%d references were learned, want the empty one and two", len(learned))
	}
	for _, reference := range learned {
		for n := range uint64(3) {
			if id := statement(n)[7:39]; strings.Contains(strings.ToLower(reference.text), id[:shortestCopy+2]) {
				t.Errorf("the id %s is in a reference: %s", id, reference.text)
			}
		}
	}
	refs.forget()
	if refs.waiting != "" {
		t.Error("a statement is still waiting")
	}
}

// A memo that tells itself.
type note string

func (n note) AppendFolded(dst []byte) []byte { return append(dst, n...) }

// What is remembered is what was answered.
func TestRecord(t *testing.T) {
	refs := newReferences()
	f := func(s *upstream.Session, told string, memo any, believe time.Duration) {
		t.Helper()
		s.Told = []byte(told)
		if told == "" {
			s.Told = nil
		}
		if memo != nil {
			s.SetMemo(memo)
		}
		cfg := &Config{FreshFor: time.Minute, StaleFor: time.Hour}
		e := newEntry(digest{1, 2, 15: 3}, upstream.Answer{Session: s, BelieveFor: believe}, 1<<40, 5*time.Hour, cfg)
		for _, keep := range []bool{true, false} {
			r := newRecord(e, refs, keep)
			w := r.wake(refs)
			if w.digest != e.digest || w.askedSeq != e.askedSeq || w.askedAt != e.askedAt || w.freshUntil != e.freshUntil ||
				w.staleUntil != e.staleUntil || w.endsAt != e.endsAt || w.renew || w.record != r || w.checkedSeq.Load() != e.askedSeq {
				t.Errorf("entry is %+v, want %+v", w, e)
			}
			got := w.session
			if got.ID != s.ID || got.IdentityID != s.IdentityID || got.AAL != s.AAL || !got.AuthenticatedAt.Equal(s.AuthenticatedAt) ||
				!got.ExpiresAt.Equal(s.ExpiresAt) || got.ExpiresAt.IsZero() != s.ExpiresAt.IsZero() {
				t.Errorf("session is %+v, want %+v", got, s)
			}
			body, kept := got.Statement()
			again, _ := got.Statement()
			if kept != keep || keep && !bytes.Equal(body, s.Body) || len(body) > 0 && &body[0] != &again[0] {
				t.Errorf("statement is %q, %v, want %q", body, kept, s.Body)
			}
			want := s.Body
			if told != "" {
				want = s.Told
			}
			words, kept := got.Words()
			if kept != keep || keep && !bytes.Equal(words, want) {
				t.Errorf("words are %q, %v, want %q", words, kept, want)
			}
			wanted := ""
			if n, ok := memo.(note); ok {
				wanted = string(n)
			}
			if got.Memo() != nil || string(got.FoldedMemo()) != wanted {
				t.Errorf("memo is %q, want %q", got.FoldedMemo(), wanted)
			}
			if renewing := r.renewing().wake(refs); !renewing.renew || renewing.session.ID != s.ID {
				t.Errorf("entry is %+v, want one to renew", renewing)
			}
			if !r.of(e.digest) || r.of(digest{1, 2, 15: 4}) {
				t.Error("record is not of its own credential only")
			}
		}
	}
	exported := 0
	for _, field := range reflect.VisibleFields(reflect.TypeFor[upstream.Session]()) {
		if field.IsExported() {
			exported++
		}
	}
	if exported != 7 {
		t.Errorf("a session has %d fields, of which a record tells 7: it has to tell all of them", exported)
	}
	now := time.Now()
	f(&upstream.Session{ID: "S", IdentityID: "I"}, "", nil, upstream.Unlimited)
	f(&upstream.Session{
		ID: strings.Repeat("s", 300), IdentityID: "8e00b158-2bd8-449a-8d5e-4df6d8ce4248", AAL: upstream.AAL3, Body: []byte(statement(1)),
		AuthenticatedAt: now.In(time.FixedZone("", 3600)), ExpiresAt: now.Add(time.Hour),
	}, statement(2), note(strings.Repeat("s", 300)+" and more"), time.Second)
	for _, id := range []string{
		"", "ä\x00", "8e00b158-2bd8-449a-8d5e-4df6d8ce424", "8E00B158-2BD8-449A-8D5E-4DF6D8CE4248", "8e00b1582bd8449a8d5e4df6d8ce4248",
		"8e00b1582-bd8-449a-8d5e-4df6d8ce4248", "8e00b158-2bd8-449a-8d5e-4df6d8ce4248-", "ge00b158-2bd8-449a-8d5e-4df6d8ce4248",
	} {
		f(&upstream.Session{ID: id, IdentityID: id}, "", nil, upstream.Unlimited)
	}
	f(&upstream.Session{
		ID: "S", IdentityID: "I", Body: []byte("{}"), ExpiresAt: time.Unix(-1, 999_999_999), AuthenticatedAt: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC),
	}, "told", "a memo that cannot tell itself", 0)
}

// Waking makes garbage, which is what collections are for where many sessions are in use: one piece for all that is of one size, one for the
// ids, and one for the memo when that is looked at.
func TestP6WakingAllocatesLittle(t *testing.T) {
	refs, r := asleep()
	if n := testing.AllocsPerRun(1000, func() { r.wake(refs) }); n > 2 {
		t.Errorf("waking takes %v allocations", n)
	}
	if n := testing.AllocsPerRun(1000, func() { r.wake(refs).session.FoldedMemo() }); n > 3 {
		t.Errorf("waking takes %v allocations when the memo is looked at", n)
	}
}

// BenchmarkWake measures what a hit of a session that sleeps takes more than one of a session that is awake, the look-up apart.
func BenchmarkWake(b *testing.B) {
	refs, r := asleep()
	b.ReportAllocs()
	for b.Loop() {
		r.wake(refs).session.FoldedMemo()
	}
}

// asleep returns a record of a session as they usually are.
func asleep() (*references, record) {
	const id, identity = "8e00b158-2bd8-449a-8d5e-4df6d8ce4248", "0a6b1c0e-3f5c-4b0d-9a57-1d2c3b4a5968"
	refs := newReferences()
	var r record
	for n := range uint64(3) { // from which the references are learned
		s := &upstream.Session{
			ID: id, IdentityID: identity[:35] + strconv.Itoa(int(n)), AAL: upstream.AAL1, Body: []byte(statement(n)),
			AuthenticatedAt: time.Unix(1.7e9, 0), ExpiresAt: time.Unix(1.9e9, 0),
		}
		s.SetMemo(note("policy\x00" + s.IdentityID + fmt.Sprintf("person-%d@example.test", n) + s.ID + "aal1 and a name"))
		r = newRecord(newEntry(digest{1}, upstream.Answer{Session: s}, 0, 0, new(Config)), refs, true)
	}
	return refs, r
}

// What the memos of all have in common is told once and not in each record.
func TestMemosAreFolded(t *testing.T) {
	refs := newReferences()
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 100 {
		person := fmt.Sprintf("%08x", r.Uint32())
		id := func() string {
			return fmt.Sprintf("%08x-%04x-4%03x-9a57-%012x", r.Uint32(), r.Uint32()>>16, r.Uint32()>>20, r.Uint64()>>16)
		}
		s := &upstream.Session{ID: id(), IdentityID: id()}
		memo := note("policy\x00" + s.IdentityID + `{"given name":"` + person + `","family name":"of the house"}` + s.ID + person + "@mail.example.test")
		s.SetMemo(memo)
		record := newRecord(newEntry(digest{}, upstream.Answer{Session: s}, 0, 0, new(Config)), refs, false)
		if got := record.wake(refs).session.FoldedMemo(); string(got) != string(memo) {
			t.Fatalf("memo %q became %q", memo, got)
		}
		ids := len(appendID(appendID(nil, s.ID), s.IdentityID))
		if rest := len(record) - ids; n > 1 && rest > 64 {
			t.Errorf("a record has %d bytes beside the ids, of which a memo of %d bytes takes too many", rest, len(memo))
		}
		if learned := *refs.memos.learned.Load(); strings.Contains(learned[len(learned)-1].text, person) {
			t.Errorf("the reference names somebody: %q", learned[len(learned)-1].text)
		}
	}
	if learned := *refs.memos.learned.Load(); len(learned) != 2 {
		t.Errorf("%d references were learned, want the empty one and one", len(learned))
	}
}

// Sessions that share a place wake each other up, and none is mistaken for another.
func TestWakes(t *testing.T) {
	s := new(echo)
	c := newEchoCache(t, s)
	c.hot.awake = c.hot.awake[:1] // all share one place
	for range 3 {
		for _, value := range []string{"a", "b"} {
			a, err := c.Session(t.Context(), token(value))
			if err != nil || a.Session.ID != value {
				t.Errorf("%s is answered with %v, %v", value, a.Session, err)
			}
			c.hot.cache.Wait()
		}
	}
	if s.asked != 2 {
		t.Errorf("%d questions were asked about two", s.asked)
	}
}

// A renewer renews the cookie with every answer, which takes a second.
type renewer struct{ asked int }

func (s *renewer) Session(context.Context, upstream.Credential) (upstream.Answer, error) {
	s.asked++
	time.Sleep(time.Second)
	session := &upstream.Session{ID: "S", IdentityID: "I"}
	return upstream.Answer{Session: session, BelieveFor: upstream.Unlimited, Renewed: []upstream.Field{{Name: "Set-Cookie", Value: "cookie"}}}, nil
}

// unfoldable cannot be told in few bytes, nor at all.
type unfoldable struct{}

func (unfoldable) AppendFolded([]byte) []byte { panic("unfoldable") }

// P7. What cannot be remembered is asked for again, and ends nothing.
func TestP7WhatCannotBeFolded(t *testing.T) {
	for _, prepare := range []func(*upstream.Session){
		func(s *upstream.Session) { s.SetMemo(unfoldable{}) },
		func(*upstream.Session) { panic("unprepared") }, // which is remembered all the same
	} {
		synctest.Test(t, func(t *testing.T) {
			s := new(renewer)
			c, err := New(s, Config{Size: 100, FreshFor: time.Minute, Prepare: prepare})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			for range 2 {
				if a, err := c.Session(t.Context(), token("a")); err != nil || a.Session.ID != "S" {
					t.Errorf("session %v, %v", a.Session, err)
				}
			}
			if s.asked < 1 || s.asked > 2 {
				t.Errorf("%d questions", s.asked)
			}
		})
	}
}

// That a cookie waits to be renewed is remembered while the session sleeps.
func TestSleepsWhileACookieWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(renewer)
		c, err := New(s, Config{Size: 100, FreshFor: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		ctx, leave := context.WithTimeout(t.Context(), time.Millisecond)
		defer leave()
		if _, err := c.Session(ctx, token("a")); err == nil {
			t.Fatal("the answer came at once")
		}
		time.Sleep(10 * time.Second)
		c.window.Purge()
		c.hot.sleep()
		for _, want := range []int{2, 2} {
			if _, err := c.Session(t.Context(), token("a")); err != nil || s.asked != want {
				t.Errorf("%d questions, error %v, want %d", s.asked, err, want)
			}
		}
	})
}

// What two statements about one person have in common is no reference: it would outlive the session of that person.
func TestReferencesOfOnePerson(t *testing.T) {
	refs := &newReferences().statements
	for range 3 {
		refs.appendText(new(folder), nil, "", "alice", []byte(statement(1)))
	}
	if learned := *refs.learned.Load(); len(learned) != 1 {
		t.Fatalf("%q was learned", learned[1].text)
	}
	refs.appendText(new(folder), nil, "", "bob", []byte(statement(2)))
	learned := *refs.learned.Load()
	if len(learned) != 2 {
		t.Fatalf("%d references were learned, want the empty one and one", len(learned))
	}
	if strings.Contains(learned[1].text, "person-1") {
		t.Errorf("the reference names somebody: %s", learned[1].text)
	}
}

// Statements that come at the same time can be told while references are learned.
func TestReferencesAtOnce(t *testing.T) {
	var texts [4]string
	for i := range texts {
		texts[i] = statement(uint64(i))
	}
	for range 20_000 {
		refs := &newReferences().statements
		var all sync.WaitGroup
		for i, text := range texts {
			all.Go(func() {
				if got := refs.text(&reader{string(refs.appendText(new(folder), nil, "", strconv.Itoa(i), []byte(text)))}, ""); string(got) != text {
					t.Errorf("%q became %q", text, got)
				}
			})
		}
		all.Wait()
	}
}

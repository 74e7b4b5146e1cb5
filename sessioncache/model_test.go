package sessioncache_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/gatehouse-proxy/gatehouse/sessioncache"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// The model runs random operations against a cache and judges each answer by what the service has said, to which question, and what
// has been revoked since. It knows nothing of tables. Time is fake, and every operation settles before the next one.

// owners are the credentials, and whose session they stand for: two cookies of one session, another session of the same identity, and
// somebody else.
var owners = []struct{ session, identity string }{{"S0", "I0"}, {"S0", "I0"}, {"S1", "I0"}, {"S2", "I1"}}

// An op is one operation. What of is meant to be depends on the operation.
type op struct {
	Do string
	Of int
	D  time.Duration
}

// A statement is what the service said to one question.
type statement struct {
	of         int
	kind       string // yes, brief, short, renewed, expires: a session; no; refused; down; expired: on the way
	began      time.Time
	beganTick  int
	landed     time.Time // zero: in flight
	landedTick int
	answer     upstream.Answer
	err        error
	gate       chan struct{}
}

// A revocation is of whatever its fields name.
type revocation struct {
	tick              int
	session, identity string
	of                int // -1: none
	all               bool
}

// A world is the service, what it has said, and the judge of what the cache makes of it.
type world struct {
	cfg sessioncache.Config

	mu          sync.Mutex
	tick        int
	settled     int      // the tick at which the operation under way began: what landed by then is remembered
	says        []string // by credential
	late        bool
	statements  []*statement
	revocations []revocation
	degraded    bool
	databaseBad bool
	badSince    time.Time
	goodSince   time.Time
	evicted     time.Time // everything landed before may have been lost
	failures    []string
}

func (w *world) next() int { w.tick++; return w.tick }

// Session is the service.
func (w *world) Session(ctx context.Context, cred upstream.Credential) (upstream.Answer, error) {
	of := int(cred.Value[0])
	if of >= len(owners) {
		return yes(fmt.Sprintf("F%x", cred.Value), "F")()
	}
	w.mu.Lock()
	st := &statement{of: of, kind: w.says[of], began: time.Now(), beganTick: w.next()}
	for _, other := range w.statements {
		if other.of == of && other.landed.IsZero() {
			w.failf("two questions at a time for credential %d", of)
		}
	}
	w.statements = append(w.statements, st)
	st.answer, st.err = w.reply(st)
	if w.late {
		st.gate = make(chan struct{})
	}
	w.mu.Unlock()
	if st.gate != nil {
		select {
		case <-st.gate:
		case <-ctx.Done():
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	st.landed, st.landedTick = time.Now(), w.next()
	if st.yes() && st.answer.Session.Expired(st.landed) {
		st.kind = "expired"
	}
	return st.answer, st.err
}

func (w *world) reply(st *statement) (upstream.Answer, error) {
	r := yes(owners[st.of].session, owners[st.of].identity)
	switch st.kind {
	case "brief":
		r = r.believedFor(0)
	case "short":
		r = r.believedFor(4 * time.Second)
	case "renewed":
		r = r.renewing("cookie")
	case "expires":
		r = r.expiring(time.Now().Add(7 * time.Second))
	case "no":
		r = no
	case "refused":
		r = refuses
	case "down":
		r = down
	}
	a, err := r()
	if err == nil { // so that it can be told which statement an answer is
		a.Session.Body = fmt.Appendf(nil, `{"id":%q,"statement":%d,"name":%q}`, a.Session.ID, st.beganTick, strings.Repeat("name ", 20+st.beganTick%100))
	}
	return a, err
}

func (w *world) Ready(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.databaseBad {
		return errDatabase
	}
	return nil
}

// release lets the oldest held question go, or all.
func (w *world) release(all bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, st := range w.statements {
		if st.gate != nil {
			close(st.gate)
			st.gate = nil
			if !all {
				return
			}
		}
	}
}

func (w *world) revoke(c *sessioncache.Cache, r revocation) {
	switch {
	case r.all:
		c.Flush()
	case r.session != "":
		c.RevokeSession(r.session)
	case r.identity != "":
		c.RevokeIdentity(r.identity)
	default:
		c.RevokeCredential(upstream.Credential{Kind: upstream.Cookie, Name: "session", Value: []byte{byte(r.of)}})
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	r.tick = w.next()
	w.revocations = append(w.revocations, r)
}

func (w *world) do(ctx context.Context, c *sessioncache.Cache, o op, n int) {
	w.mu.Lock()
	w.settled = w.next()
	w.mu.Unlock()
	switch o.Do {
	case "look up":
		go w.lookup(ctx, c, o.Of, upstream.Unlimited)
	case "look up now":
		go w.lookup(ctx, c, o.Of, o.D)
	case "look up together":
		for range 3 {
			go w.lookup(ctx, c, o.Of, upstream.Unlimited)
		}
	case "look up and leave":
		ctx, cancel := context.WithCancel(ctx)
		go w.lookup(ctx, c, o.Of, upstream.Unlimited)
		synctest.Wait()
		cancel()
	case "yes", "brief", "short", "renewed", "expires", "no", "refused", "down":
		w.mu.Lock()
		w.says[o.Of] = o.Do
		w.mu.Unlock()
	case "late", "prompt":
		w.mu.Lock()
		w.late = o.Do == "late"
		w.mu.Unlock()
	case "answer one", "answer all":
		w.release(o.Do == "answer all")
	case "revoke session":
		w.revoke(c, revocation{of: -1, session: owners[o.Of].session})
	case "revoke identity":
		w.revoke(c, revocation{of: -1, identity: owners[o.Of].identity})
	case "revoke credential":
		w.revoke(c, revocation{of: o.Of})
	case "flush":
		w.revoke(c, revocation{of: -1, all: true})
	case "degrade", "recover":
		w.mu.Lock()
		w.degraded = o.Do == "degrade"
		w.mu.Unlock()
		c.Degrade(o.Do == "degrade")
	case "database bad", "database good":
		w.mu.Lock()
		bad := o.Do == "database bad"
		if bad && !w.databaseBad {
			w.badSince = time.Now()
		} else if !bad && w.databaseBad {
			w.goodSince = time.Now()
		}
		w.databaseBad = bad
		w.mu.Unlock()
	case "evict":
		w.mu.Lock()
		w.evicted = time.Now()
		w.mu.Unlock()
		for i := range 100 {
			value := []byte{255, byte(n), byte(i)}
			_, _ = c.Session(ctx, upstream.Credential{Kind: upstream.Cookie, Value: value})
		}
	case "wait":
		time.Sleep(o.D)
	}
	synctest.Wait()
}

func TestModel(t *testing.T) {
	const ms = time.Millisecond
	ops := rapid.Custom(func(t *rapid.T) op {
		return op{
			Do: rapid.SampledFrom([]string{
				"look up", "look up", "look up", "look up now", "look up together", "look up and leave",
				"yes", "yes", "brief", "short", "renewed", "expires", "no", "no", "refused", "down",
				"late", "prompt", "answer one", "answer all",
				"revoke session", "revoke identity", "revoke credential", "flush",
				"degrade", "recover", "database bad", "database good", "evict", "wait", "wait", "wait",
			}).Draw(t, "do"),
			Of: rapid.IntRange(0, len(owners)-1).Draw(t, "of"),
			D:  ms * rapid.SampledFrom([]time.Duration{0, 1, 600, 1100, 3000, 8000, 25000}).Draw(t, "d"),
		}
	})
	rapid.Check(t, func(rt *rapid.T) {
		w := &world{says: make([]string, len(owners)), cfg: sessioncache.Config{
			Size:        rapid.SampledFrom([]int{1, 1000}).Draw(rt, "size"),
			FreshFor:    10 * time.Second,
			StaleFor:    rapid.SampledFrom([]time.Duration{0, 20 * time.Second}).Draw(rt, "stale for"),
			NegativeFor: rapid.SampledFrom([]time.Duration{0, 2 * time.Second}).Draw(rt, "negative for"),

			FreshForDegraded: rapid.SampledFrom([]time.Duration{0, 2 * time.Second, time.Hour}).Draw(rt, "fresh for while degraded"),
		}}
		for i := range w.says {
			w.says[i] = "yes"
		}
		script := rapid.SliceOfN(ops, 1, 80).Draw(rt, "ops")
		synctest.Test(t, func(t *testing.T) {
			cfg := w.cfg
			cfg.Ready = w.Ready
			c := newCache(t, w, cfg)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			time.Sleep(time.Second) // so that "never" is before everything
			for i, o := range script {
				if i%3 == 0 { // so that most operations are followed by a look at what they did
					w.do(ctx, c, op{Do: "look up", Of: o.Of}, i)
				}
				w.do(ctx, c, o, i)
			}
			w.release(true)
			time.Sleep(time.Minute)
		})
		if len(w.failures) > 0 {
			rt.Fatalf("%s", w.failures[0])
		}
	})
}

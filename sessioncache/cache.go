package sessioncache

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// Config says what to remember and for how long.
type Config struct {
	Service string // names the session service, such as its URL; part of every key

	Size int // sessions; at least 1

	// DropBody says that of what is remembered [upstream.Session.Statement] need not be kept, which is most of it.
	DropBody bool

	// Prepare is called with each session that the service states, before it is remembered, so that its memo can be remembered with it.
	// May be nil.
	Prepare func(*upstream.Session)

	FreshFor    time.Duration // how long a session is believed without asking; at least 100ms
	StaleFor    time.Duration // how long after that it may be served while the service is asked or does not answer; 0 is never
	NegativeFor time.Duration // how long it is remembered that there is no session; 0 is not at all

	// FreshForDegraded takes the place of FreshFor, where it is less, while the cache is degraded. 0 is not at all.
	FreshForDegraded time.Duration

	// Known is asked instead of the store about credentials whose session is still held, so that many that nobody knows need not keep it
	// from being asked about again. Nil means that the store is asked about all.
	Known upstream.Store

	// Ready returns nil if the service is in a state to be believed when it says that there is no session. Nil means that it always is.
	// It is called at most once a second, must return when its context ends, and must be safe for concurrent use.
	Ready func(context.Context) error
}

// Bounds that keep a typing error from eating the memory, and the sums of durations from overflowing.
const (
	maxSize     = 100_000_000
	minFreshFor = 100 * time.Millisecond
	maxFor      = 365 * 24 * time.Hour
)

func (cfg *Config) validate() error {
	var errs []error
	if cfg.Size < 1 || cfg.Size > maxSize {
		errs = append(errs, fmt.Errorf("size must be between 1 and %d sessions, not %d", maxSize, cfg.Size))
	}
	f := func(name string, d, least time.Duration) {
		if d < least || d > maxFor {
			errs = append(errs, fmt.Errorf("%s must be between %v and %v, not %v", name, least, maxFor, d))
		}
	}
	f("fresh_for", cfg.FreshFor, minFreshFor)
	f("stale_for", cfg.StaleFor, 0)
	f("negative_for", cfg.NegativeFor, 0)
	f("fresh_for_degraded", cfg.FreshForDegraded, 0)
	return errors.Join(errs...)
}

// A Cache remembers what a Store answered. It is a Store itself. It is safe for concurrent use, and must be closed.
type Cache struct {
	store     upstream.Store
	cfg       Config
	digests   hasher
	base      time.Time // the monotonic clock counts from here
	readiness *readiness

	refs      *references
	hot       *hotTable
	window    bounded[*entry]
	joined    *joinedTable
	negatives bounded[denial]
	forced    bounded[time.Duration] // when somebody may insist again on an answer about a session
	revoked   *revocations
	freshFor  atomic.Int64 // a time.Duration: the most that holds now, see Degrade

	mu      sync.Mutex // guards flights, each flight's waiting, closed, and the order of what is written to forced
	flights map[digest]*flight
	closed  bool

	lifetime context.Context
	cancel   context.CancelFunc
	running  sync.WaitGroup
	closing  sync.Once

	lookups    counters
	unbelieved atomic.Uint64
}

// A denial remembers that the service knew no session.
type denial struct {
	since    time.Duration // when it was learned
	askedSeq uint64        // as in entry
}

// New returns a Cache in front of store, which has to bound the time that a question takes. The error says what is wrong with cfg.
func New(store upstream.Store, cfg Config) (*Cache, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("create session cache: %w", err)
	}
	if cfg.Known == nil {
		cfg.Known = store
	}
	refs := newReferences()
	hot, err := newHotTable(cfg.Size, refs)
	if err != nil {
		return nil, err
	}
	c := &Cache{
		store:     store,
		cfg:       cfg,
		digests:   newHasher(cfg.Service),
		base:      time.Now(),
		readiness: newReadiness(cfg.Ready),
		refs:      refs,
		hot:       hot,
		window:    newBounded[*entry](min(max(cfg.Size/10, 64), 16384)),
		joined:    newJoinedTable(min(max(cfg.Size/10, 64), 16384)),
		negatives: newBounded[denial](min(max(cfg.Size, 1024), 65536)),
		forced:    newBounded[time.Duration](min(max(cfg.Size, 1024), 65536)),
		revoked:   newRevocations(min(max(cfg.Size, 1024), 65536)),
		flights:   make(map[digest]*flight),
	}
	c.Degrade(false)
	c.lifetime, c.cancel = context.WithCancel(context.Background())
	return c, nil
}

// Session returns which session, if any, cred stands for, as old as the configuration allows. See [upstream.Store].
func (c *Cache) Session(ctx context.Context, cred upstream.Credential) (upstream.Answer, error) {
	return c.Lookup(ctx, cred, upstream.Unlimited)
}

// Lookup is like [Cache.Session] for a caller who says how old an answer may be: [upstream.Unlimited] is as old as the configuration
// allows, and 0 asks the service now. A second of age is always accepted, and for the sake of the service nobody can have more than
// one question a second asked about one session: who comes within that second gets what is remembered. An age below 0 accepts no answer from
// before the look-up; a few such questions may be asked at once. If no answer can be had, an older one does not stand in for it.
//
// When ctx ends first, its error is returned, and the question goes on without the caller.
func (c *Cache) Lookup(ctx context.Context, cred upstream.Credential, within time.Duration) (upstream.Answer, error) {
	return c.find(ctx, cred, within, false)
}

// Recall is [Cache.Session] for those who want to know only what needs no question: it returns an answer that is remembered and fresh now,
// which the caller has read from the clock: to read it again would be a hundredth of what a request costs. It does not wait. Look-ups that
// find nothing are not counted.
func (c *Cache) Recall(cred upstream.Credential, now time.Time) (upstream.Answer, bool) {
	if cred.Kind == upstream.NoCredential || len(cred.Value) == 0 {
		return upstream.Answer{}, false
	}
	d, at := c.digests.credential(cred), c.at(now)
	e, src, _ := c.recall(d, cred.Joined(), at, upstream.Unlimited)
	if e == nil || !e.servable(at) || !e.fresh(at) || e.renew {
		return upstream.Answer{}, false
	}
	a, o := e.serve(src, at)
	c.lookups.count(d, o)
	return a, true
}

func (c *Cache) find(ctx context.Context, cred upstream.Credential, within time.Duration, unattended bool) (upstream.Answer, error) {
	if cred.Kind == upstream.NoCredential || len(cred.Value) == 0 {
		return upstream.Answer{}, upstream.ErrNoSession
	}
	d := c.digests.credential(cred)
	a, o, err := c.lookup(ctx, d, cred, within, unattended)
	c.lookups.count(d, o)
	return a, err
}

func (c *Cache) lookup(
	ctx context.Context, d digest, cred upstream.Credential, within time.Duration, unattended bool,
) (upstream.Answer, outcome, error) {
	at := c.now()
	joined := cred.Joined()
	e, src, wasRevoked := c.recall(d, joined, at, within)
	q := question{digest: d, joined: joined, at: at, within: within, held: e, revoked: wasRevoked, unattended: unattended}

	switch {
	case e == nil || !e.servable(at):
		if _, no := c.denied(d, at, within); no {
			return upstream.Answer{}, negative, upstream.ErrNoSession
		}
		return c.ask(ctx, q, cred)

	case e.age(at) > within:
		q.forced = true
		a, o, err := c.ask(ctx, q, cred)
		if err == errTooSoon {
			a, o = e.serve(src, at)
			return a, o, nil
		}
		return a, o, err

	case e.renew && !unattended && e.mayAsk(at):
		a, o, err := c.ask(ctx, q, cred)
		if err != nil && !upstream.Definite(err) {
			if at = c.now(); e.servable(at) && c.stands(e) {
				a, o = e.serve(src, at)
				return a, o, nil
			}
		}
		return a, o, err

	case !e.fresh(at) && e.mayAsk(at):
		c.refresh(&q, cred)
	}
	a, o := e.serve(src, at)
	return a, o, nil
}

// recall returns the entry for d that has what the caller wants or, failing that, the newest one that is still held, and where it was
// found. It returns nil if there is none that stands; wasRevoked says whether there was one that does not.
//
// The hot table is looked at first, and if it has what is wanted, nothing else is: that is the hit that takes no lock that all share.
// It may hold an older answer than the window, since it loses writes.
func (c *Cache) recall(d digest, joined bool, at moment, within time.Duration) (e *entry, src upstream.Source, wasRevoked bool) {
	hot := c.hot.get(d)
	if hot != nil && hot.held(at) {
		switch {
		case !c.stands(hot):
			wasRevoked = true
		case hot.fresh(at) && !hot.renew && hot.age(at) <= within:
			return hot, upstream.Hit, false
		default:
			e = hot
		}
	}
	w, ok := c.newcomers(joined).Get(d)
	if !ok || w == hot || !w.held(at) || e != nil && e.askedAt >= w.askedAt {
		return e, upstream.Hit, wasRevoked
	}
	if !c.stands(w) {
		return nil, upstream.Hit, true // and no older one instead
	}
	if !joined && w.mayOffer(at) {
		c.hot.offer(w, at)
	}
	return w, upstream.WindowHit, false
}

// newcomers returns the table in which an entry is when the hot table does not hold it. What is joined is never in the hot table.
func (c *Cache) newcomers(joined bool) *bounded[*entry] {
	if joined {
		return &c.joined.entries
	}
	return &c.window
}

// denied reports whether it is remembered that there is no session for d. As for sessions, a second of age is always accepted.
func (c *Cache) denied(d digest, at moment, within time.Duration) (denial, bool) {
	n, ok := c.negatives.Get(d)
	if !ok || at.mono-n.since >= c.cfg.NegativeFor || at.mono-n.since > max(within, everySecond) || c.revoked.concern(n.askedSeq) {
		return denial{}, false
	}
	return n, true
}

// mayForce reports whether q may insist on an answer about its session now, whatever cookie it came with. Cache.mu is held.
func (c *Cache) mayForce(q *question) bool {
	if q.within >= 0 && q.held.age(q.at) < everySecond {
		return false
	}
	key := c.digests.session(q.held.session.ID)
	next, ok := c.forced.Get(key)
	if !ok {
		next = q.at.mono
	}
	ahead := time.Duration(0)
	if q.within < 0 {
		ahead = inAdvance * everySecond
	}
	if next > q.at.mono+ahead {
		return false
	}
	c.forced.add(key, max(next, q.at.mono)+everySecond)
	return true
}

// inAdvance is how many questions somebody may have asked before their second has come who wants an answer from no earlier than now. Those who
// were just turned away and have just signed in anew are few, and must not be told what held before.
const inAdvance = 3

// RevokeSession ends the session with the given id, whatever credentials stand for it. When it returns, the session is not served to
// any look-up that begins afterwards, unless the service says anew that it is good.
func (c *Cache) RevokeSession(id string) { c.revoked.revoke(c.digests.session(id)) }

// RevokeIdentity is like [Cache.RevokeSession] for all sessions of an identity.
func (c *Cache) RevokeIdentity(id string) { c.revoked.revoke(c.digests.identity(id)) }

// RevokeCredential is like [Cache.RevokeSession] for one credential. Other credentials that stand for the same session are not
// affected: where the session's id is known, revoke that.
func (c *Cache) RevokeCredential(cred upstream.Credential) {
	c.revoked.revoke(c.digests.credential(cred))
}

// Flush forgets everything. When it returns, nothing that was learned before is served to any look-up that begins afterwards.
func (c *Cache) Flush() {
	c.revoked.revokeAll()
	// From here on it is hygiene.
	c.window.Purge()
	c.joined.purge()
	c.negatives.Purge()
	c.forced.Purge()
	c.hot.clear()
	c.refs.forget()
}

// Degrade says whether sessions may end without the cache being told. While they may, answers are fresh for FreshForDegraded at most from when
// they were asked for, those included that are held already. It holds for every look-up that begins when it has returned.
func (c *Cache) Degrade(degraded bool) {
	freshFor := c.cfg.FreshFor
	if degraded {
		freshFor = min(freshFor, c.cfg.FreshForDegraded)
	}
	c.freshFor.Store(int64(freshFor))
}

// Tag returns the first eight hexadecimal digits of the digest of cred: a name for it in logs, the same for as long as the Cache lives.
func (c *Cache) Tag(cred upstream.Credential) string {
	d := c.digests.credential(cred)
	return hex.EncodeToString(d[:4])
}

// Close ends all questions and waits until they are over. Look-ups that need to ask fail from now on. It may be called more than once
// and while look-ups go on.
func (c *Cache) Close() {
	c.closing.Do(func() {
		c.mu.Lock()
		c.closed = true
		c.mu.Unlock()
		c.cancel()
		c.running.Wait()
		c.hot.close()
	})
}

func (c *Cache) now() moment { return c.at(time.Now()) }

func (c *Cache) at(t time.Time) moment {
	return moment{t.Sub(c.base), t.UnixMilli(), time.Duration(c.freshFor.Load())}
}

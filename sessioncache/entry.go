package sessioncache

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// everySecond is how often one thing may be asked because a caller insists, an entry is stale, a cookie waits to be renewed, or the
// readiness of the service is in question.
const everySecond = time.Second

// heldFor is how long an entry is held after it can no longer be served. Nobody ever gets it: it only tells that a session was there
// a moment ago, so that a service that suddenly denies it can be doubted.
const heldFor = 5 * time.Minute

// A moment is one reading of the clock by its two hands, and of how long an answer is believed then. A look-up reads it once and judges
// everything by it.
type moment struct {
	mono     time.Duration // since the Cache began; unmoved by changes of the wall clock
	wall     int64         // milliseconds since 1970
	freshFor time.Duration // at most, from when an answer was asked for
}

// An entry is what is remembered of one answer, ready to be served. It holds nothing of the credential.
type entry struct {
	digest  digest
	session *upstream.Session
	record  record // which the entry was made from, or nothing if it has only just been answered

	askedSeq uint64 // revocations up to this one were in force when the question began, see revocations

	askedAt    time.Duration // when the question began
	freshUntil time.Duration // at the latest, see freshEnd
	staleUntil time.Duration // likewise; not before freshUntil
	endsAt     int64         // milliseconds since 1970 at which the session expires

	// renew says that the service renewed the cookie when nobody was there to receive it. The next caller has to ask again. It is set
	// before the entry is shared.
	renew bool

	checkedSeq atomic.Uint64 // revocations up to this one are known not to concern the entry
	nextAsk    atomic.Int64  // a time.Duration since the Cache began: when the entry may next cause a question
	nextOffer  atomic.Int64  // the same: when it may next be offered to the hot table
	heldAt     atomic.Uint64 // handle of the record in the hot table, if it is there
}

// newEntry builds what is to be remembered of a, whose question began at askedAt.
func newEntry(d digest, a upstream.Answer, askedSeq uint64, askedAt time.Duration, cfg *Config) *entry {
	e := &entry{digest: d, session: a.Session, askedSeq: askedSeq, askedAt: askedAt, endsAt: endsAt(a.Session)}
	// An answer for the moment only gets no time at all. It is held nevertheless: it replaces an older answer, which must not come
	// back, and tells that the session was there.
	e.freshUntil, e.staleUntil = askedAt, askedAt
	if a.BelieveFor > 0 {
		e.freshUntil += min(cfg.FreshFor, a.BelieveFor)
		e.staleUntil = e.freshUntil + cfg.StaleFor
	}
	e.begin()
	return e
}

// begin sets what changes while the entry is shared to what it is at first. What has been noted before may be lost: it only saves work.
func (e *entry) begin() {
	e.checkedSeq.Store(e.askedSeq)
	e.nextAsk.Store(int64(e.askedAt))
	e.nextOffer.Store(int64(e.askedAt + offerEvery))
}

// endsAt returns when s expires in milliseconds since 1970. It drops the monotonic reading that ExpiresAt may carry.
func endsAt(s *upstream.Session) int64 {
	if s.ExpiresAt.IsZero() {
		return math.MaxInt64
	}
	return s.ExpiresAt.UnixMilli()
}

// freshEnd is until when the entry is fresh, as things are at a moment.
func (e *entry) freshEnd(at moment) time.Duration { return min(e.freshUntil, e.askedAt+at.freshFor) }

// left is for how long the entry may still be believed.
func (e *entry) left(at moment) time.Duration { return max(0, e.freshEnd(at)-at.mono) }

func (e *entry) fresh(at moment) bool { return at.mono < e.freshEnd(at) && at.wall < e.endsAt }

// servable reports whether the entry may be served at all, fresh or stale, revocations aside. It is stale for as long after the end of its
// freshness as ever, whenever that is.
func (e *entry) servable(at moment) bool {
	return at.mono < e.staleUntil-(e.freshUntil-e.freshEnd(at)) && at.wall < e.endsAt
}

// held reports whether the entry still tells anything, revocations aside.
func (e *entry) held(at moment) bool { return at.mono < e.staleUntil+heldFor && at.wall < e.endsAt }

// age is how long ago the question began.
func (e *entry) age(at moment) time.Duration { return max(0, at.mono-e.askedAt) }

// mayAsk reports whether the entry may cause a question now, to at most one caller a second.
func (e *entry) mayAsk(at moment) bool { return tick(&e.nextAsk, at.mono, everySecond) }

// mayOffer reports whether the entry may be offered to the hot table now, to at most one caller each offerEvery.
func (e *entry) mayOffer(at moment) bool { return tick(&e.nextOffer, at.mono, offerEvery) }

func tick(next *atomic.Int64, now, every time.Duration) bool {
	due := next.Load()
	return int64(now) >= due && next.CompareAndSwap(due, int64(now+every))
}

// serve is what a caller gets who is served from memory, where the entry was found at src. BelieveFor is what is left of the entry's
// freshness, so that a Store in front of this one does not believe it for longer.
func (e *entry) serve(src upstream.Source, at moment) (upstream.Answer, outcome) {
	if !e.fresh(at) {
		src = upstream.Stale
	}
	a := upstream.Answer{Session: e.session, BelieveFor: e.left(at), Source: src, Age: e.age(at)}
	return a, outcomeOf(src)
}

package sessioncache

import (
	"sync"
	"sync/atomic"
)

// revocations is the log of what has been revoked. Its clock is logical: revocations are numbered, and a question notes the number of
// the last one in force when it begins. An answer stands if nothing that concerns it has a higher number. So neither the speed of the
// service nor the wall clock matters, and an answer in flight when a session is revoked falls with it.
//
// The log is bounded. What is forgotten raises the floor to its number, and an answer to a question from below the floor does not
// stand: forgetting costs questions, never a wrong answer.
//
// Readers take no lock of ours. What makes that safe is order: a writer raises the floor, then changes the log, then publishes the
// number, and a reader reads them the other way round.
type revocations struct {
	seq   atomic.Uint64 // number of the last revocation in force
	floor atomic.Uint64

	mu  sync.Mutex // one writer at a time
	log bounded[uint64]
}

func newRevocations(size int) *revocations { return &revocations{log: newBounded[uint64](size)} }

// revoke ends whatever d stands for. When it returns, no answer to an earlier question about d stands.
func (r *revocations) revoke(d digest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.seq.Load() + 1
	// Nobody but revoke moves a record, so the oldest record is the one with the lowest number. The log never evicts by itself, since
	// the floor must be up before the record is gone.
	if r.log.full() && !r.log.Contains(d) {
		if oldest, forgotten, ok := r.log.GetOldest(); ok {
			r.floor.Store(forgotten)
			r.log.evict(oldest)
		}
	}
	r.log.add(d, n)
	r.seq.Store(n)
}

// revokeAll ends everything. The records are below the floor and so tell nothing more.
func (r *revocations) revokeAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.seq.Load() + 1
	r.floor.Store(n)
	r.log.Purge()
	r.seq.Store(n)
}

// concern reports whether any of the digests has been revoked since askedSeq, or may have been.
func (r *revocations) concern(askedSeq uint64, ds ...digest) bool {
	for _, d := range ds {
		// Peek leaves the order alone, so that the oldest revocation is the first to be forgotten and not the least wanted.
		if n, ok := r.log.Peek(d); ok && n > askedSeq {
			return true
		}
	}
	return r.floor.Load() > askedSeq
}

// stands reports whether e has been revoked by nothing. While nothing new is revoked it costs one comparison.
func (c *Cache) stands(e *entry) bool {
	seq := c.revoked.seq.Load() // before the log is read, so that what is revoked meanwhile is looked for the next time
	if e.checkedSeq.Load() == seq {
		return true
	}
	if c.revoked.concern(e.askedSeq, e.digest, c.digests.session(e.session.ID), c.digests.identity(e.session.IdentityID)) {
		return false
	}
	e.checkedSeq.Store(seq)
	return true
}

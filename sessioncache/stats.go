package sessioncache

import (
	"sync/atomic"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// Stats is a snapshot of what the cache has done since it was made, and of what it holds now. Its numbers are read one after another,
// so while look-ups go on they need not add up.
type Stats struct {
	Lookups Lookups

	Hot         Table // the sessions that stay
	Window      Table // newcomers, and what the hot table declined
	Joined      Table // credentials made of several cookies, which are never in the hot table
	Negative    Table // credentials of which the service said that there is no session
	Revocations Table // the revocation log

	// HotRejections counts sessions that the hot table declined, because it is full of sessions asked for more often or because too
	// many came at once. A number that keeps growing says that the cache is too small.
	HotRejections uint64

	// UnbelievedNos counts answers of no session that were taken for an outage, since the session had been there a moment ago and
	// the service was not ready.
	UnbelievedNos uint64
}

// Lookups counts look-ups by how they ended. Each is counted once; those without a credential are not counted.
type Lookups struct {
	Hit       uint64 // remembered
	WindowHit uint64 // remembered, but not among the sessions that stay
	Stale     uint64 // remembered and no longer fresh
	Negative  uint64 // remembered that there is no session
	Miss      uint64 // the service was asked, and answered
	Coalesced uint64 // the service answered a question that somebody else had asked
	Revoked   uint64 // what was remembered or awaited had been revoked, so that the service had to answer again
	Error     uint64 // no answer could be had, or the caller did not wait for it
}

// A Table says how full one of the tables is. Evictions counts what had to go for want of room, not what expired.
type Table struct {
	Entries, Capacity int
	Evictions         uint64
}

// Stats returns a snapshot. It is meant to be called every few seconds, not on every request.
func (c *Cache) Stats() Stats {
	s := Stats{
		Lookups:       c.lookups.sum(),
		Window:        c.window.stats(),
		Joined:        c.joined.entries.stats(),
		Negative:      c.negatives.stats(),
		Revocations:   c.revoked.log.stats(),
		UnbelievedNos: c.unbelieved.Load(),
	}
	s.Hot, s.HotRejections = c.hot.stats()
	return s
}

// An outcome is how a look-up ended, see [Lookups].
type outcome uint8

const (
	hit outcome = iota
	windowHit
	stale
	negative
	missed
	coalesced
	revoked
	failed
	outcomes
)

// outcomeOf is the outcome of a look-up that was answered from src.
func outcomeOf(src upstream.Source) outcome {
	switch src {
	case upstream.Hit:
		return hit
	case upstream.WindowHit:
		return windowHit
	case upstream.Stale:
		return stale
	case upstream.Coalesced:
		return coalesced
	default:
		return missed
	}
}

// counters counts outcomes. It is striped by digest, so that hits of different sessions on different processors seldom write to the
// same cache line.
type counters [16]struct {
	n [outcomes]atomic.Uint64
	_ [64]byte
}

func (c *counters) count(d digest, o outcome) { c[int(d[14])%len(c)].n[o].Add(1) }

func (c *counters) sum() Lookups {
	var n [outcomes]uint64
	for i := range c {
		for o := range n {
			n[o] += c[i].n[o].Load()
		}
	}
	return Lookups{n[hit], n[windowHit], n[stale], n[negative], n[missed], n[coalesced], n[revoked], n[failed]}
}

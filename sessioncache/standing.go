package sessioncache

import (
	"context"
	"time"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// LatestRevocation returns the number of the latest revocation in force. Whoever goes on relying on an answer, as an open tunnel does,
// notes it before asking for the answer, and from then on learns of revocations by [Cache.RevokedSince] without asking again.
func (c *Cache) LatestRevocation() uint64 { return c.revoked.seq.Load() }

// RevokedSince reports whether the credential, its session or the identity of that has been revoked, or everything, after the revocation
// of the given number. It asks nobody and waits for nothing. When more has been revoked in between than is remembered, it reports true.
func (c *Cache) RevokedSince(number uint64, cred upstream.Credential, s *upstream.Session) bool {
	return c.revoked.concern(number, c.digests.credential(cred), c.digests.session(s.ID), c.digests.identity(s.IdentityID))
}

// Unattended returns the Cache for callers with nobody behind them who could receive a renewed cookie. A renewal that only they have
// caused is left for the next caller who can.
func (c *Cache) Unattended() Unattended { return Unattended{c} }

// Unattended is a [Cache] for callers who cannot pass a renewed cookie on.
type Unattended struct{ cache *Cache }

// Lookup is like [Cache.Lookup], and never returns a renewed cookie.
func (u Unattended) Lookup(ctx context.Context, cred upstream.Credential, within time.Duration) (upstream.Answer, error) {
	return u.cache.find(ctx, cred, within, true)
}

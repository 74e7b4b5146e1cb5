// Package sessioncache remembers which session a credential stands for: a [Cache] is a Store in front of a Store. It knows nothing of
// HTTP, metrics or configuration.
//
// # Promises
//
// Each has a test of its name that fails when the promise is broken.
//
// P1. A session is never served after it expires, after it has been fresh and stale, or after a revocation that was acknowledged
// before the look-up began. It is fresh for [Config.FreshFor] or what the service allows, whichever is less, counted from the moment
// the question began, and may be served stale for [Config.StaleFor] after that. While the cache is degraded ([Cache.Degrade]),
// [Config.FreshForDegraded] is the most, also for what is held already, and staleness begins that much earlier. Staleness is the
// operator's choice for outages, so it may exceed what the service allows; an answer that the service allows to be believed for the
// moment only is never served again.
// Expiry is judged by the wall clock, so that a machine that was suspended does not serve what has ended; the rest by the monotonic one.
// A revocation is acknowledged when [Cache.RevokeSession], [Cache.RevokeIdentity], [Cache.RevokeCredential] or [Cache.Flush] returns.
// It holds for what is remembered, and for every answer to a question that began before it, whoever waits for that answer.
//
// P2. Two credentials never share an entry, whatever bytes an attacker chooses. The key is a digest of service, kind, name and value
// under a key that is random in each Cache, and it is compared in full on every hit.
//
// P3. There is one question for a credential at a time, however many ask. It runs on a context of its own: a caller who leaves fails
// nobody else, and the answer is remembered all the same. A look-up may join a question that began up to a second before it did (or
// up to the age that it allows), so even an answer that must not be remembered is shared by those who asked together.
//
// P4. An outage is never remembered and never becomes a definite no; a definite no is never served stale. No session, said of a
// credential whose session is still held, is believed only if the service is ready to be believed ([Config.Ready]); otherwise it is
// an outage. A no that is believed ends the held session at once.
//
// P5. Of a credential nothing is kept but a digest. Its bytes are copied only for the time of a question, and appear in no error.
//
// P6. A hit neither allocates nor waits for the service. In the hot table, where the sessions in use are, it takes no lock that all
// hits share, unless something has been revoked since the last one. (Ristretto notes what is asked for in buffers of its own and
// allocates a new one every 64 hits. And sessions are remembered as flat records, so that a million of them are no work for the garbage
// collector: one that was not among the last few thousand that were asked for is woken first, which takes about a kilobyte.)
//
// P7. Losing any write to the tables costs a question, never a wrong answer.
package sessioncache

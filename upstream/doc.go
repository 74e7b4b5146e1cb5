// Package upstream is the vocabulary of Gatehouse: what a credential, a session and an answer are, and what a session service must
// do to stand behind the gateway. It imports nothing but the standard library, and everything else imports it.
//
// A session service is a [Store]: one method that says which session a credential stands for. Caches, limits and breakers are
// Stores in front of Stores, so that each can be read, tested and left out on its own:
//
//	proxy → sessioncache → upstream/guard → upstream/kratos → the service
//
// # Three kinds of answer
//
// Whoever implements or calls a Store must keep three answers apart, because only the difference between them makes caching safe:
//
//   - A session: the credential is good. It may be believed for as long as [Answer.BelieveFor] and [Session.ExpiresAt] allow.
//   - A definite no: an error wrapping [ErrNoSession], or a [*Refusal]. The service answered, and the answer was no.
//   - No answer: every other error. Nothing is known about the credential. It is never cached, never a logout, never a pass.
//
// This is the one package besides the command whose API is stable for others: a Store may be implemented outside of this module.
package upstream

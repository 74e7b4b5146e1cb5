// Package sessiontoken remembers the short-lived tokens that a session service gives out for a session, such as those of Wacht at
// GET /session/token, so that a page that asks for one every few seconds does not have the service asked as often.
//
// What it promises:
//
//   - A token is given to whoever presents the very credential that it was made for, while the session of that credential stands. It dies with
//     the session: no look-up that begins after a revocation gets a token from before it.
//   - One question a credential and template at a time, however many ask. A service that says that somebody has asked too often is not asked for
//     them again until it wants to be.
//   - Nothing of a credential is kept but a digest, and what renews one goes to those who waited for that very question.
//   - Memory is bounded: the tokens that were used the longest ago make room.
package sessiontoken

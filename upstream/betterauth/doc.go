// Package betterauth asks a Better Auth server whose session a credential stands for: GET <url>/get-session. A [Client] is an
// [upstream.Store].
//
// The service answers 200 to everybody, and null to those who have no session: https://www.better-auth.com/docs/concepts/session-management.
// A 200 that names session and user is a session, null is a definite no, and so is 401, unless it is a page. Everything else is an outage.
//
// The service may keep a copy of the session in a signed cookie beside the session cookie, and then answers from that, without looking
// whether the session has been revoked. Only the session cookie is sent, and disableCookieCache with it, so that an answer is always the
// database's. When it sends that copy anew it is passed on to the browser, with the session cookie: both belong to the caller.
//
// The service states no assurance level. A session of it has aal1.
package betterauth

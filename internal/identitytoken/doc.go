// Package identitytoken signs what an application is told about a session, so that the application can verify it without trusting the way
// on which it came, and pass it on to others who verify it too.
//
// A token is a JSON Web Token (RFC 7519), signed with Ed25519 (EdDSA, RFC 8037) or with ECDSA on P-256 (ES256, RFC 7518), whichever kind
// the key is of. It says whose session it is (sub, sid), by whom and for whom it is said (iss, aud), when (iat, exp), and how the person
// was authenticated (auth_time, acr, amr, in the meaning of OpenID Connect Core 1.0 section 2), and whatever else of the session was
// chosen. It never outlives the session.
//
// A [Signer] never changes. When a key is rotated, another one takes its place.
package identitytoken

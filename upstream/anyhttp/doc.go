// Package anyhttp asks any HTTP endpoint whose session a credential stands for. What makes an answer a session, and where in it the
// session is told, is for the operator to say. A [Client] is an [upstream.Store].
//
// What an answer means:
//
//   - A 200 with a JSON object is a session if the condition is true of it, and a definite no if the condition is false. If it is a
//     session, everything that there is a path for must be there and be readable, apart from times, which a service need not state.
//   - A 200 with null is a definite no if the condition is false of it, and never a session.
//   - A 401 or 403 is a definite no, unless it is a page, or the condition is true of it. Where the question has a client id and secret,
//     such an answer is about these and not about the credential (RFC 7662 section 2.3), and so an outage.
//   - Everything else is an outage: every other status, every page, a body that is no JSON or too long, a condition that cannot be said.
//
// A service that names its sessions has a path for their ids. Otherwise the id of a session is made of the credential and of whose it is.
// It is the same each time that credential is presented, in every process, and tells nothing of the credential; another credential for the
// same session has another id. Revoking by such an id ends what the one credential opened, and revoking by identity ends them all.
//
// A session whose assurance level is not told has aal1. Where there is a path for it, what it leads to counts: "aal1" to "aal3", or 1 to 3.
// Anything else is aal0, which meets no requirement.
package anyhttp

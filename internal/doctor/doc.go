// Package doctor examines a deployment of Gatehouse from outside, as an attacker would, and says what it found and how to mend it.
//
// It promises:
//
//   - What is sent is harmless: GET, HEAD and OPTIONS, and requests without a session that have TRACE or a method that does not exist. None
//     has a body. A sign-out is asked for only if [Options.Logout] is set.
//   - At most [MostRequests] requests are sent, one after the other, with [Options.Pause] between them, and only to the hosts of the URLs in
//     [Options]. Redirects are not followed.
//   - The credential is in no finding, no error and no output.
//   - What could not be examined is said: the absence of a finding means that something was sent and came back as it should.
//
// The attacks are those that have worked against other gateways. They are listed in docs/explanation/attacks.md with their sources.
package doctor

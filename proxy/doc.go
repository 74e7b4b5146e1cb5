// Package proxy is how Gatehouse meets HTTP. A [Server] has three faces that judge: requests go on to the application, a front proxy asks
// whether a request may pass (by HTTP, or by gRPC in [Server.Judge]), and the application's own code asks whose session it is. All of them
// ask the same [Gate] the same question, "whose request is this, and may it pass?", and each puts the answer in its own words. Beside them
// are faces that need no session: the keys of signed tokens, messages about sessions that have ended, and the session services' own APIs.
//
//	bytes → fasthttp → request → Target and Presented → Gate.Decide → refuse, or pass on
//	     ↘ lane → request → Target and Presented → Gate.Recall, or else Gate.Decide → answer, or pass on
//
// There are two ways for a request. The long one is fasthttp's, and all that is hard about HTTP is done there, and there only. The short one
// is the lane: our own loop in front, for requests that are plain in every byte and may pass. It serves those as the long way would, in the
// same words, and hands every other over: as if it had not looked at it, or with what was decided.
//
// # What it promises
//
//   - Nobody passes whom the policy does not let pass. An outage is a 503, never a session and never a 401.
//   - The path that is judged is the path that is served. What two servers could read differently, in path, host or framing, is refused
//     and not repaired, unless every reading takes the same route; everything else reaches the application byte for byte, but for a prefix
//     that a route strips.
//   - The application sees no identity or forwarding header, in any spelling, that the gate did not write. The head of its request is
//     built from nothing, line by line.
//   - The session credential stays in the gateway. It reaches no log, and the application only where its route says so.
//   - A body that is cut off is cut off on the other side, too. No request with side effects is sent twice. Bytes that an application
//     sends unasked reach nobody, and a body that was not read is never taken for a request.
//   - An open WebSocket ends within a second of the revocation of its session, when the session's time is up, and when a request like the
//     one that opened it would no longer pass.
//   - A request that is answered from memory allocates nothing.
//
// HTTP is spoken in the versions 1.0 and 1.1. This is the only package that knows fasthttp's RequestCtx, whose habits shape it: its
// comments say where.
package proxy

// Package extauthz answers Envoy by gRPC: it is the service envoy.service.auth.v3.Authorization, which Envoy's ext_authz filter, Istio and
// Contour ask whether a request may pass.
//
// It translates and judges nothing: a CheckRequest becomes a [proxy.Description], and the [proxy.Outcome] a CheckResponse. It promises that
//
//   - nobody passes unless the outcome says so. What cannot be judged is a denial with the status that says why, and never an error of gRPC,
//     which Envoy may be told to take for a yes (failure_mode_allow);
//   - a request that passes has every identity header exactly once, empty where nothing is known, and no alias of one. It has no session
//     credential;
//   - each cookie for the client is a line of its own.
//
// The API is https://www.envoyproxy.io/docs/envoy/latest/api-v3/service/auth/v3/external_auth.proto. It was tested with the generated client,
// and not with Envoy.
package extauthz

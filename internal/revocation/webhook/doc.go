// Package webhook reads messages by which somebody outside says that sessions have ended. It believes only what is signed, recently, and
// for the first time, as Standard Webhooks has it (https://github.com/standard-webhooks/standard-webhooks), or what comes with an API key: Ory
// Kratos' webhooks can send a fixed header and cannot sign. It does no HTTP.
package webhook

// Package http01 says where ACME servers ask.
package http01

import "time"

// PathPrefix stands before the token (RFC 8555, section 8.3).
const PathPrefix = "/.well-known/acme-challenge/"

// A ChallengeOption does nothing.
type ChallengeOption struct{}

// SetDelay does nothing.
func SetDelay(time.Duration) ChallengeOption { return ChallengeOption{} }

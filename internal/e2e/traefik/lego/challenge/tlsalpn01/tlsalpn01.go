// Package tlsalpn01 names the protocol in which ACME servers ask.
package tlsalpn01

import (
	"errors"
	"time"
)

// ACMETLS1Protocol is its name (RFC 8737, section 6.2).
const ACMETLS1Protocol = "acme-tls/1"

// A ChallengeOption does nothing.
type ChallengeOption struct{}

// SetDelay does nothing.
func SetDelay(time.Duration) ChallengeOption { return ChallengeOption{} }

// ChallengeBlocks fails.
func ChallengeBlocks(_, _ string) (cert, key []byte, err error) {
	return nil, nil, errors.ErrUnsupported
}

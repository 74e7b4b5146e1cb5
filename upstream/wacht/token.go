package wacht

import (
	"bytes"
	"encoding/base64"
	"time"

	"github.com/tidwall/gjson"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// believeFor returns how long an answer about a token may be believed: until the token ends (RFC 7519 section 4.1.4), after which the
// service gives out another one. The signature is the service's to check. What cannot be read is believed for the moment only.
func believeFor(token []byte) time.Duration {
	parts := bytes.Split(token, []byte("."))
	if len(parts) != 3 {
		return 0
	}
	claims, err := base64.RawURLEncoding.DecodeString(string(parts[1]))
	if err != nil || !gjson.ValidBytes(claims) {
		return 0
	}
	exp := gjson.GetBytes(claims, "exp")
	switch {
	case !exp.Exists():
		return upstream.Unlimited
	case exp.Type != gjson.Number || exp.Num > 1<<40:
		return 0
	}
	return max(0, time.Until(time.Unix(int64(exp.Num), 0)))
}

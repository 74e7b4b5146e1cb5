package proxy

import (
	"errors"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
)

// A targetError is what is wrong with what a request asks for, in one word of a closed set. Nothing of the request is in it.
type targetError string

// Error returns the word.
func (e targetError) Error() string { return string(e) }

// The words.
const (
	errNoPath           targetError = "no_path"           // the target is neither a path nor a URL of the host that Host names
	errDoubleSlash      targetError = "double_slash"      // an empty segment, if only once its parameters are gone
	errDotSegment       targetError = "dot_segment"       // . or .. in whatever encoding, or what some servers take for it
	errBackslash        targetError = "backslash"         // as it is, or encoded
	errFragment         targetError = "fragment"          // #, which browsers keep to themselves
	errControlByte      targetError = "control_byte"      // a blank or a control byte, as it is, or a control byte that is encoded
	errRawByte          targetError = "raw_byte"          // a byte above 0x7e that is not encoded
	errBadEncoding      targetError = "bad_encoding"      // % without two hexadecimal digits after it
	errEncodedPercent   targetError = "encoded_percent"   // %25, which is an encoding of an encoding to some servers
	errEncodedSemicolon targetError = "encoded_semicolon" // %3b
	errEncodedSlash     targetError = "encoded_slash"     // %2f where the route does not take it, or in parameters
	errBadUTF8          targetError = "bad_utf8"          // what is encoded is not UTF-8
	errOtherRoute       targetError = "other_route"       // as other servers read the path, it takes another route
	errDestination      targetError = "destination"       // of COPY or MOVE: missing, repeated, of another host, or of another route
	errBadHost          targetError = "host"              // what Host says is no host, or more than one
)

// malformedTarget is the decision about a request whose target is at fault.
func malformedTarget(err error) policy.Decision {
	return policy.Decision{Verdict: policy.Malformed, Reason: policy.MalformedTarget, Err: err}
}

// detailOf returns the word about a decision that says more than its reason, or nothing.
func detailOf(d *policy.Decision) string {
	if d.Verdict != policy.Malformed {
		return ""
	}
	word, _ := errors.AsType[targetError](d.Err)
	return string(word)
}

// targetFault returns what is wrong with a request-target that readPath makes no path of.
func targetFault(raw []byte) error {
	if _, _, err := canonicalPath(raw, nil); err != nil {
		return err
	}
	return errEncodedSlash // in one of Gatehouse's own paths
}

// disagreement returns why t does not agree with the route.
func (t *Target) disagreement(p *policy.Policy, route *policy.Route) error {
	switch {
	case t.forms&encodedSlash != 0 && (route == nil || !route.AllowEncodedSlashes):
		return errEncodedSlash
	case t.Route == "" && !t.pathAgrees(p, route):
		return errOtherRoute
	default:
		return errDestination
	}
}

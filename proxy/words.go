package proxy

import (
	"cmp"
	"fmt"
	"net/http"
	"strconv"

	"github.com/valyala/fasthttp"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
)

// details says what every refusal means.
var details = map[int]string{
	fasthttp.StatusBadRequest:                  "The request has more than one reading, or none.",
	fasthttp.StatusUnauthorized:                "A valid session is needed.",
	fasthttp.StatusForbidden:                   "This is not allowed.",
	fasthttp.StatusNotFound:                    "There is nothing here.",
	fasthttp.StatusMethodNotAllowed:            "The method is not supported.",
	fasthttp.StatusConflict:                    "This has been done before.",
	fasthttp.StatusRequestTimeout:              "The request came too slowly.",
	fasthttp.StatusRequestEntityTooLarge:       "The body is larger than is taken here.",
	fasthttp.StatusRequestURITooLong:           "The address is longer than is looked at.",
	fasthttp.StatusMisdirectedRequest:          "This host is not served here.",
	http.StatusTooEarly:                        "The request could be a replay. Send it again once the connection is established.",
	fasthttp.StatusTooManyRequests:             "Too many from one client. Try again later.",
	fasthttp.StatusRequestHeaderFieldsTooLarge: "The head of the request is larger than is looked at.",
	fasthttp.StatusInternalServerError:         "The gateway failed. Nothing was let through.",
	fasthttp.StatusBadGateway:                  "The application could not be reached, or gave no usable answer.",
	fasthttp.StatusServiceUnavailable:          "An answer cannot be had right now. Try again.",
	fasthttp.StatusGatewayTimeout:              "The application did not answer in time.",
	fasthttp.StatusHTTPVersionNotSupported:     "Only HTTP/1.0 and HTTP/1.1 are spoken here.",
}

// reasonDetails says more of the refusals for a reason than their status does.
var reasonDetails = map[policy.Reason]string{
	policy.MessageUnsigned:  "The message must be signed, or come with a key.",
	policy.MessageOld:       "The message was signed too long ago, or ahead of time. Look at both clocks.",
	policy.MessageReplayed:  "This message has been received before.",
	policy.MessageUnread:    "The message names no session_id, no identity_id and not all.",
	policy.StoreUnavailable: "Whose session this is cannot be known right now. Nobody was signed out. Try again.",
}

// detailAppAway is what 503 means where it is for the application's sake.
const detailAppAway = "The application cannot be reached right now, or has too much to do. Try again."

// words are what a refusal says, to programs as RFC 9457 has it, and to people. Nothing in them comes from the request.
type words struct{ problem, page []byte }

func newWords(status int, detail string) *words {
	return &words{problem(status, detail), page(status, detail)}
}

// usualWords are those that are said often.
var usualWords = func() map[int]map[string]*words {
	m := map[int]map[string]*words{}
	for status, detail := range details {
		m[status] = map[string]*words{detail: newWords(status, detail)}
	}
	for _, detail := range []string{detailAppAway, reasonDetails[policy.StoreUnavailable]} {
		m[fasthttp.StatusServiceUnavailable][detail] = newWords(fasthttp.StatusServiceUnavailable, detail)
	}
	return m
}()

// wordsFor returns the words of a refusal.
func wordsFor(status int, detail string) *words {
	detail = cmp.Or(detail, details[status])
	if usual := usualWords[status][detail]; usual != nil {
		return usual
	}
	return newWords(status, detail)
}

// detail returns what is to be said about the refusal of r beyond what every refusal of the status means, or nothing.
func (r *request) detail(status int) string {
	switch {
	case r.fault.header != "":
		return "The header " + r.fault.header + " must be there once, with one reading."
	case status == fasthttp.StatusServiceUnavailable && r.decision.Reason == policy.ApplicationFailed:
		return detailAppAway
	default:
		return reasonDetails[r.decision.Reason]
	}
}

// problem returns the body of a refusal. Nothing in it comes from the request.
func problem(status int, detail string) []byte {
	return fmt.Appendf(nil, `{"type":"about:blank","title":%s,"status":%d,"detail":%s}`+"\n",
		strconv.Quote(http.StatusText(status)), status, strconv.Quote(detail))
}

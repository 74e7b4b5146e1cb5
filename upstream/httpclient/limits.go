package httpclient

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Pause returns for how long the service wants to be asked nothing, or nothing if it does not say: Retry-After (RFC 9110 section 10.2.3), the
// X-Retry-After of Better Auth, or when its limit is set back, as Ory Network and others tell. https://www.ory.com/docs/guides/rate-limits
func (r *Reply) Pause() time.Duration {
	for _, name := range [...]string{"Retry-After", "X-Retry-After", "X-Ratelimit-Reset", "Ratelimit-Reset"} {
		value := r.Header.Get(name)
		if value == "" {
			continue
		}
		if at, err := http.ParseTime(value); err == nil {
			return max(0, time.Until(at))
		}
		seconds, ok := leading(value)
		switch {
		case !ok:
			continue
		case seconds >= aTime:
			return max(0, time.Until(time.Unix(seconds, 0)))
		default:
			return time.Duration(seconds) * time.Second
		}
	}
	return 0
}

// aTime is from where on a number of seconds is a time since 1970 and no duration, which would be 28 years.
const aTime = 900_000_000

// remaining returns how many questions the service says are left of its limit.
func remaining(h http.Header) (int64, bool) {
	for _, name := range [...]string{"X-Ratelimit-Remaining", "Ratelimit-Remaining"} {
		if value := h.Get(name); value != "" { // an error would cost more than all the rest
			if n, ok := leading(value); ok {
				return n, true
			}
		}
	}
	return 0, false
}

// leading reads the number that a value begins with, up to 2^40. What follows a comma or semicolon are the windows that it is counted in.
func leading(value string) (int64, bool) {
	if i := strings.IndexAny(value, ",;"); i >= 0 {
		value = value[:i]
	}
	n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 40)
	return int64(n), err == nil
}

package guard

import (
	"context"
	"errors"
	"fmt"
	"path"
	"runtime"
	"strings"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// A Result is what became of a question.
type Result uint8

// The results. All but the first three are outages.
const (
	OK Result = iota
	NoSession
	Refused
	Timeout     // the deadline passed, be it in wait of a turn
	Unavailable // every other outage, those included that the guard declared itself
)

// String returns the name of the result as metrics spell it.
func (r Result) String() string {
	switch r {
	case OK:
		return "ok"
	case NoSession:
		return "no_session"
	case Refused:
		return "refused"
	case Timeout:
		return "timeout"
	default:
		return "unavailable"
	}
}

func resultOf(err error) Result {
	switch {
	case err == nil:
		return OK
	case errors.Is(err, upstream.ErrNoSession):
		return NoSession
	case upstream.Definite(err):
		return Refused
	case errors.Is(err, context.DeadlineExceeded):
		return Timeout
	default:
		return Unavailable
	}
}

// ask asks question, and makes an outage of a panic: one bad answer must not end the process for everybody. What was panicked with
// may hold what the service said, so only the runtime's own words are passed on.
func ask(ctx context.Context, question func(context.Context) error) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case runtime.Error:
			err = fmt.Errorf("ask session service: panic at %s: %w", panicOrigin(), p)
		default:
			err = fmt.Errorf("ask session service: panic at %s with a %T", panicOrigin(), p)
		}
	}()
	return question(ctx)
}

// panicOrigin returns file and line of what panicked. It must be called by the deferred function that recovers.
func panicOrigin() string {
	pcs := make([]uintptr, 16)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs)])
	for {
		frame, more := frames.Next()
		if !strings.HasPrefix(frame.Function, "runtime.") {
			return fmt.Sprintf("%s:%d", path.Base(frame.File), frame.Line)
		}
		if !more {
			return "unknown place"
		}
	}
}

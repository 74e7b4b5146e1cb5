package proxy_test

import (
	"testing"

	"go.uber.org/goleak"
)

// fasthttp has two goroutines that outlive a server: one keeps the date of responses up to date for ever, and one per server wakes up
// every ten seconds to see that it has been stopped.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
	)
}

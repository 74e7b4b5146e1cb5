package giveway

import (
	"testing"
	"time"
)

// Who gives way for long is let through in greater number: nobody waits for as long as there is other work.
func TestDue(t *testing.T) {
	f := func(took time.Duration, want int) {
		t.Helper()
		if got := due(took); got != want {
			t.Errorf("%v: %d, want %d", took, got, want)
		}
	}
	f(0, 4)
	f(4999*time.Microsecond, 4)
	f(5*time.Millisecond, 5)
	f(50*time.Millisecond, 50)
}

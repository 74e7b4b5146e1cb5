package hostile

import (
	"fmt"
	"reflect"
)

// An Account is what became of the requests of one connection at one server.
type Account struct {
	Server   string
	Readings []Reading // what reached the application, in order
	Statuses []int     // what the client was answered
}

// A Judgement is by what a gateway judged a request.
type Judgement struct{ Host, Path string }

// Check returns an error if a gateway let a request pass that another server refuses or takes for something else, or that it has judged
// by another path or host than the one that is served.
func Check(gate Account, judged []Judgement, others ...Account) error {
	if len(judged) != len(gate.Readings) {
		return fmt.Errorf("%s passed %d requests, and %d reached the application", gate.Server, len(judged), len(gate.Readings))
	}
	good := 0
	for _, status := range gate.Statuses {
		switch {
		case status == 200:
			good++
		case status < 400 || status >= 500 && status != 505:
			return fmt.Errorf("%s answered with status %d", gate.Server, status)
		}
	}
	if good != len(gate.Readings) {
		return fmt.Errorf("%s answered %d requests with 200, and %d reached the application", gate.Server, good, len(gate.Readings))
	}
	for i, got := range gate.Readings {
		if len(got.Spoofed) > 0 {
			return fmt.Errorf("request %d reached the application with the identity %q", i, got.Spoofed)
		}
		if want := (Judgement{Host: got.Host, Path: got.Path}); judged[i] != want {
			return fmt.Errorf("request %d was judged as %+v and served as %+v", i, judged[i], want)
		}
		for _, other := range others {
			if i >= len(other.Readings) {
				return fmt.Errorf("request %d: %s sees only %d requests", i, other.Server, len(other.Readings))
			}
			if err := got.differs(other.Readings[i]); err != nil {
				return fmt.Errorf("request %d: %s and %s differ in %w", i, gate.Server, other.Server, err)
			}
		}
	}
	return nil
}

// Agree reports whether servers read the same requests.
func Agree(a, b Account) bool {
	if len(a.Readings) != len(b.Readings) {
		return false
	}
	for i := range a.Readings {
		if a.Readings[i].differs(b.Readings[i]) != nil {
			return false
		}
	}
	return true
}

// differs says in what two readings differ. What only a gateway may write is not compared.
func (r Reading) differs(other Reading) error {
	r.Spoofed, other.Spoofed = nil, nil
	a, b := reflect.ValueOf(r), reflect.ValueOf(other)
	for i := range a.NumField() {
		if x, y := a.Field(i), b.Field(i); fmt.Sprintf("%q", x) != fmt.Sprintf("%q", y) {
			return fmt.Errorf("%s: %.80q and %.80q", a.Type().Field(i).Name, x, y)
		}
	}
	return nil
}

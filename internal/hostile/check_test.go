package hostile

import (
	"bytes"
	"strings"
	"testing"
)

// Check finds every way in which a gateway may fail.
func TestCheck(t *testing.T) {
	good := Reading{Method: "GET", Host: "h", Path: "/x", Query: "a", Notes: []string{"n"}, Cookies: []string{"c=1"}, Body: "b"}
	f := func(want string, change func(gate, other *Account, judged *[]Judgement)) {
		t.Helper()
		gate := Account{Server: "gate", Readings: []Reading{good}, Statuses: []int{200, 400}}
		other := Account{Server: "other", Readings: []Reading{good, good}, Statuses: []int{200, 200}}
		judged := []Judgement{{Host: "h", Path: "/x"}}
		change(&gate, &other, &judged)
		err := Check(gate, judged, other)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	f("", func(_, _ *Account, _ *[]Judgement) {})
	f("passed 0 requests, and 1 reached", func(_, _ *Account, j *[]Judgement) { *j = nil })
	f("was judged as", func(_, _ *Account, j *[]Judgement) { (*j)[0].Path = "/y" })
	f("was judged as", func(_, _ *Account, j *[]Judgement) { (*j)[0].Host = "i" })
	f("status 502", func(g, _ *Account, _ *[]Judgement) { g.Statuses[1] = 502 })
	f("answered 2 requests with 200", func(g, _ *Account, _ *[]Judgement) { g.Statuses[1] = 200 })
	f("sees only 0", func(_, o *Account, _ *[]Judgement) { o.Readings = nil })
	f("with the identity", func(g, _ *Account, _ *[]Judgement) { g.Readings[0].Spoofed = []string{"root"} })
	for field, change := range map[string]func(*Reading){
		"Method":  func(r *Reading) { r.Method = "POST" },
		"Query":   func(r *Reading) { r.Query = "" },
		"Notes":   func(r *Reading) { r.Notes = []string{"n", ""} },
		"Cookies": func(r *Reading) { r.Cookies = nil },
		"Body":    func(r *Reading) { r.Body += "x" },
	} {
		f("differ in "+field, func(_, o *Account, _ *[]Judgement) { change(&o.Readings[0]) })
		if r := good; Agree(Account{Readings: []Reading{good}}, func() Account { change(&r); return Account{Readings: []Reading{r}} }()) {
			t.Errorf("servers agree although they differ in %s", field)
		}
	}
}

// The same seed gives the same bytes, and another one others.
func TestConnection(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(1000) {
		sent := Connection(seed)
		if !bytes.Equal(sent, Connection(seed)) {
			t.Fatalf("seed %d gives other bytes each time", seed)
		}
		seen[string(sent)] = true
	}
	if len(seen) < 990 {
		t.Errorf("1000 seeds give only %d connections", len(seen))
	}
}

func TestStatuses(t *testing.T) {
	got := Statuses([]byte("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nbodyHTTP/1.0 404 Not Found\r\n\r\n"))
	if len(got) != 2 || got[0] != 200 || got[1] != 404 {
		t.Errorf("%v", got)
	}
}

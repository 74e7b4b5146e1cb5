package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Sessions are numbered: of every number there is one, whose token is the number in 32 digits after numberedPrefix.
const (
	numberedPrefix = "ory_st_"
	numberedDigits = 32
)

func numberedToken(n int) string { return fmt.Sprintf("%s%0*d", numberedPrefix, numberedDigits, n) }

// renumber makes a request with the token of one session one with that of another.
func renumber(request []byte, n int) {
	digits := request[bytes.Index(request, []byte(numberedPrefix))+len(numberedPrefix):][:numberedDigits]
	for i := len(digits) - 1; i >= 0; i-- {
		digits[i] = byte('0' + n%10)
		n /= 10
	}
}

// renumberBelow returns what makes a request one for any of so many sessions.
func renumberBelow(sessions int) func([]byte, int) {
	return func(request []byte, _ int) { renumber(request, rand.IntN(sessions)) }
}

// readyPath is where the service is asked only whether it is there, which takes it as long as any other answer.
const readyPath = "/health/ready"

// serveSessions answers like Ory Kratos at /sessions/whoami, for every token with a number. Like serveApp, it does no more than it has to. It
// may be given how long that is to take: so long on average, and a fifth more or less, so that questions which came together part.
func serveSessions(address string, args []string) error {
	latency := time.Duration(0)
	if len(args) > 0 {
		var err error
		if latency, err = time.ParseDuration(args[0]); err != nil {
			return err
		}
	}
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	for {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		timer, err := newTimer()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			defer timer.Close()
			for request := make([]byte, 16<<10); ; {
				n, err := c.Read(request)
				if err != nil {
					return
				}
				answer := whoamiOf(request[:n])
				if latency > 0 && timer.wait(latency*4/5+rand.N(latency*2/5)) != nil {
					return
				}
				if _, err := c.Write(answer); err != nil {
					return
				}
			}
		}()
	}
}

// A timer is one of the kernel: those of Go are late by up to a millisecond.
type timer struct {
	*os.File
	fd int
}

func newTimer() (*timer, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("timerfd_create", err)
	}
	return &timer{os.NewFile(uintptr(fd), "timer"), fd}, nil
}

func (t *timer) wait(d time.Duration) error {
	value := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}
	if err := unix.TimerfdSettime(t.fd, 0, &value, nil); err != nil {
		return os.NewSyscallError("timerfd_settime", err)
	}
	var expirations [8]byte
	_, err := t.Read(expirations[:])
	return err
}

func whoamiOf(request []byte) []byte {
	if bytes.HasPrefix(request, []byte("GET "+readyPath)) {
		return []byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	}
	_, rest, _ := bytes.Cut(request, []byte(numberedPrefix))
	number, err := strconv.ParseUint(string(rest[:min(numberedDigits, len(rest))]), 10, 64)
	if err != nil {
		return []byte("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
	}
	body := numberedStatement(number)
	return append(fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: %d\r\n\r\n", len(body)), body...)
}

// numberedStatement returns what Kratos v26.2.0 says, 1.3 KiB, about a person who is different for each number. The person's email address and
// name are as long as anybody's, so that decisions are, too.
func numberedStatement(n uint64) []byte {
	r := rand.New(rand.NewPCG(n, 0))
	id := func() string {
		a, b := r.Uint64(), r.Uint64()
		return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", a>>32, a>>16&0xffff, a&0xfff, 0x8000|b>>48&0x3fff, b&0xffffffffffff)
	}
	now := time.Now().UTC()
	at := func(ago time.Duration) string {
		return now.Add(-ago + time.Duration(r.Int64N(int64(time.Hour)))).Format(time.RFC3339Nano)
	}
	authenticated, created := at(time.Hour), at(8760*time.Hour)
	email := fmt.Sprintf("%s.%08d@example.test", []string{"alice", "bobby", "carol", "david"}[r.IntN(4)], n)
	return fmt.Appendf(nil, `{"id":"%s","active":true,"expires_at":"%s","authenticated_at":"%s","authenticator_assurance_level":"aal1",`+
		`"authentication_methods":[{"method":"password","aal":"aal1","completed_at":"%s"}],"issued_at":"%s","identity":{"id":"%s",`+
		`"schema_id":"default","schema_url":"http://127.0.0.1:4433/schemas/ZGVmYXVsdA","state":"active","state_changed_at":"%s",`+
		`"traits":{"email":"%s","name":{"first":"First%08d","last":"Last%08d"}},"verifiable_addresses":[{"id":"%s","value":"%s","verified":false,`+
		`"via":"email","status":"pending","created_at":"%s","updated_at":"%s"}],"recovery_addresses":[{"id":"%s","value":"%s","via":"email",`+
		`"created_at":"%s","updated_at":"%s"}],"metadata_public":{"role":"user","n":%d},"created_at":"%s","updated_at":"%s",`+
		`"organization_id":null},"devices":[{"id":"%s","ip_address":"192.0.2.%d:%d","user_agent":"Mozilla/5.0 (X11; Linux x86_64; rv:%d.0)",`+
		`"location":""}]}`+"\n",
		id(), at(-24*time.Hour), authenticated, authenticated, authenticated, id(), created, email, n, n, id(), email, created, created,
		id(), email, created, created, n, created, created, id(), r.IntN(256), r.IntN(65536), 100+r.IntN(40))
}

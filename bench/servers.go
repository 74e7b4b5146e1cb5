package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

// The processor that servers run on, and that load comes from.
const (
	serverCPU = 0
	loadCPU   = 1
)

// A server is a process under load.
type server struct {
	cmd     *exec.Cmd
	address string
	admin   string // of the session service; only of Gatehouse
}

func (s *server) stop() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// cost returns the CPU time of the process per request under load, in microseconds.
func (s *server) cost(request []byte, length time.Duration, connections int) (float64, error) {
	if _, err := load(s.address, request, length/10, connections); err != nil { // warm up
		return 0, err
	}
	before, err := cpuTime(s.cmd.Process.Pid)
	if err != nil {
		return 0, err
	}
	answers, err := load(s.address, request, length, connections)
	if err != nil {
		return 0, err
	}
	after, err := cpuTime(s.cmd.Process.Pid)
	if err != nil {
		return 0, err
	}
	return float64((after - before).Microseconds()) / float64(answers), nil
}

// start runs a command on the server's processor and waits until it accepts connections.
func start(cmd *exec.Cmd, address string) (*server, error) {
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	s := &server{cmd: cmd, address: address}
	if err := pin(cmd.Process.Pid, serverCPU); err != nil {
		s.stop()
		return nil, err
	}
	for range 200 { // ten seconds
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
			return s, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.stop()
	return nil, fmt.Errorf("%s does not accept connections at %s", cmd.Path, address)
}

// freeAddress returns an address that nothing listens on.
func freeAddress() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

const configuration = `
listen: %s
admin: ""
upstream: { embedded: { listen: "", admin_listen: %s } }
session_cache: { fresh_for: 1h }
routes:
  - { match: { path: /assets/* }, access: public }
  - { match: { path: /* }, access: session }
identity_headers:
  X-User-Id: identity.id
  X-User-Email: identity.traits.email
  X-User-Name: identity.traits.name
  X-Session-Id: id
  X-Session-Aal: authenticator_assurance_level
trusted_proxies: [127.0.0.0/8]
log: { level: warn }
`

// startGatehouse builds the command of this tree and runs it.
func startGatehouse(dir string) (*server, error) {
	binary := filepath.Join(dir, "gatehouse")
	build := exec.Command("go", "build", "-o", binary, "github.com/gatehouse-proxy/gatehouse/cmd/gatehouse")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return nil, fmt.Errorf("build gatehouse: %w", err)
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	admin, err := freeAddress()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, configuration, address, admin), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command(binary, "serve", "--config", file)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	s, err := start(cmd, address)
	if err != nil {
		return nil, err
	}
	s.admin = admin
	return s, nil
}

// A session is what the session service answers when it has created one.
type session struct {
	Token  string                       `json:"session_token"`
	Cookie struct{ Name, Value string } `json:"session_cookie"`
}

func (s *server) createSession() (created session, err error) {
	body := []byte(`{"identity":{"traits":{"email":"alice@example.com","name":"Alice"}}}`)
	resp, err := http.Post("http://"+s.admin+"/admin/sessions", "application/json", bytes.NewReader(body))
	if err != nil {
		return session{}, fmt.Errorf("create session: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		return session{}, fmt.Errorf("create session: status %s", resp.Status)
	}
	if err := json.NewDecoder(resp.Body).Decode(&created); err != nil {
		return session{}, fmt.Errorf("create session: %w", err)
	}
	return created, nil
}

const bareMode = "bare"

// startBare runs this program as the bare server.
func startBare() (*server, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, bareMode, address)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	return start(cmd, address)
}

// serveBare answers every request with the headers of an allowed one, on a server with the settings of Gatehouse's.
func serveBare() error {
	var fields [][2][]byte
	for name, value := range map[string]string{
		"Cache-Control": "no-store", "X-User-Id": "0b2f3c1e-7d1c-4a6b-9b52-0d7a2f1c9e11", "X-User-Email": "alice@example.com",
		"X-User-Name": "Alice", "X-Session-Id": "3f1c9e11-7d1c-4a6b-9b52-0d7a2f1c0b2f", "X-Session-Aal": "aal1",
	} {
		fields = append(fields, [2][]byte{[]byte(name), []byte(value)})
	}
	s := fasthttp.Server{
		Handler: func(ctx *fasthttp.RequestCtx) {
			for _, f := range fields {
				ctx.Response.Header.SetCanonical(f[0], f[1])
			}
		},
		ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 90 * time.Second, ReadBufferSize: 64 << 10,
		NoDefaultServerHeader: true, NoDefaultContentType: true,
	}
	return s.ListenAndServe(strings.TrimSpace(os.Args[2]))
}

package e2e

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-proxy/gatehouse/internal/revocation/postgres"
)

// kratosTables are the tables of Kratos that the triggers are about, with the columns that they and we look at.
const kratosTables = `
create table identities (
	id uuid primary key, schema_id text not null default 'default', state text not null default 'active', traits jsonb not null default '{}',
	metadata_public jsonb, metadata_admin jsonb, available_aal text, updated_at timestamp not null default now());
create table sessions (
	id uuid primary key, identity_id uuid not null references identities (id) on delete cascade, active boolean default false,
	expires_at timestamp not null, authenticated_at timestamp not null default now(), aal text not null default 'aal1',
	token text, updated_at timestamp not null default now());`

// A database is a PostgreSQL server of a test's own.
type database struct {
	t      *testing.T
	dir    string
	port   int
	as     *syscall.SysProcAttr // who runs it: it refuses root
	server *exec.Cmd
}

func (d *database) dsn() string {
	return "postgres://gatehouse@127.0.0.1:" + strconv.Itoa(d.port) + "/postgres?sslmode=disable"
}

// tool returns the path of a program of PostgreSQL, which Debian keeps out of the PATH.
func tool(t *testing.T, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(found) == 0 {
		t.Fatalf("%s is not there: install PostgreSQL (Debian: apt-get install postgresql)", name)
	}
	return found[len(found)-1]
}

func startDatabase(t *testing.T) *database {
	t.Helper()
	dir, err := os.MkdirTemp("", "gatehouse-postgres-") // t.TempDir lies below a directory that only root may enter
	if err != nil {
		t.Fatal(err)
	}
	d := &database{t: t, dir: dir, port: freePort(t)}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if os.Geteuid() == 0 {
		nobody, err := user.Lookup("nobody")
		if err != nil {
			t.Fatal(err)
		}
		uid, _ := strconv.Atoi(nobody.Uid)
		gid, _ := strconv.Atoi(nobody.Gid)
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
		d.as = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	initdb := exec.Command(tool(t, "initdb"), "-D", dir, "-U", "gatehouse", "-A", "trust", "-E", "UTF8", "--no-sync")
	initdb.Dir, initdb.SysProcAttr = "/", d.as
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	d.start()
	t.Cleanup(func() { d.stop() })
	d.exec(kratosTables)
	return d
}

// start starts the server and returns when it answers.
func (d *database) start() {
	d.t.Helper()
	d.server = exec.Command(tool(d.t, "postgres"), "-D", d.dir, "-p", strconv.Itoa(d.port), "-c", "listen_addresses=127.0.0.1",
		"-c", "unix_socket_directories=", "-c", "fsync=off")
	d.server.Dir, d.server.SysProcAttr = "/", d.as
	if err := d.server.Start(); err != nil {
		d.t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	for {
		conn, err := pgx.Connect(context.Background(), d.dsn())
		if err == nil {
			_ = conn.Close(context.Background())
			return
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("PostgreSQL does not answer: %v", err)
		}
		<-time.After(20 * time.Millisecond) // there is nothing to be told by
	}
}

// stop ends the server at once, as a crash would.
func (d *database) stop() {
	_ = d.server.Process.Signal(syscall.SIGQUIT)
	_ = d.server.Wait()
}

func (d *database) exec(sql string) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, d.dsn())
	if err != nil {
		d.t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
		d.t.Fatalf("%v in %s", err, sql)
	}
}

func (d *database) execFile(path string) {
	d.t.Helper()
	sql, err := os.ReadFile(path)
	if err != nil {
		d.t.Fatal(err)
	}
	d.exec(string(sql))
}

func freePort(t *testing.T) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}

// A ledger is a cache that notes what it is told.
type ledger struct{ told chan string }

func (l *ledger) RevokeSession(id string)  { l.told <- "session " + id }
func (l *ledger) RevokeIdentity(id string) { l.told <- "identity " + id }
func (l *ledger) Flush()                   { l.told <- "all" }
func (l *ledger) Degrade(degraded bool) {
	if degraded {
		l.told <- "degraded"
	} else {
		l.told <- "sure"
	}
}

// want waits until the cache is told exactly this.
func (l *ledger) want(t *testing.T, want ...string) {
	t.Helper()
	for _, w := range want {
		select {
		case got := <-l.told:
			if got != w {
				t.Fatalf("cache is told %q, want %q of %q", got, w, want)
			}
		case <-time.After(time.Minute):
			t.Fatalf("cache is not told %q", w)
		}
	}
}

// listen runs a Listener until the test ends.
func listen(t *testing.T, dsn string) (*ledger, *lockedBuffer) {
	t.Helper()
	var log lockedBuffer
	cache := &ledger{told: make(chan string, 1000)}
	l, err := postgres.New(dsn, cache, func() {}, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	cache.want(t, "degraded") // before it is run
	return cache, &log
}

// A lockedBuffer is a log that can be waited for.
type lockedBuffer struct {
	mu      sync.Mutex
	b       strings.Builder
	written chan struct{} // closed by the next write; nil if nobody waits
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.written != nil {
		close(b.written)
		b.written = nil
	}
	return b.b.Write(p)
}

// await returns when the log says text.
func (b *lockedBuffer) await(t *testing.T, text string) {
	t.Helper()
	for timeout := time.After(time.Minute); ; {
		b.mu.Lock()
		said := strings.Contains(b.b.String(), text)
		if b.written == nil {
			b.written = make(chan struct{})
		}
		written := b.written
		b.mu.Unlock()
		if said {
			return
		}
		select {
		case <-written:
		case <-timeout:
			t.Fatalf("log does not say %q:\n%s", text, b)
		}
	}
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

const (
	ada     = "0a000000-0000-4000-8000-000000000001"
	grace   = "0a000000-0000-4000-8000-000000000002"
	session = "0b000000-0000-4000-8000-00000000000"
)

// people makes two identities and five sessions: 1 to 3 are Ada's, of which 3 has expired; 4 and 5 are Grace's, of which 5 was revoked.
const people = `
delete from sessions; delete from identities;
insert into identities (id, traits) values ('` + ada + `', '{"email":"ada@example.com"}'), ('` + grace + `', '{}');
insert into sessions (id, identity_id, active, expires_at) values
	('` + session + `1', '` + ada + `', true, (now() at time zone 'utc') + interval '1 hour'),
	('` + session + `2', '` + ada + `', true, (now() at time zone 'utc') + interval '1 hour'),
	('` + session + `3', '` + ada + `', true, (now() at time zone 'utc') - interval '1 hour'),
	('` + session + `4', '` + grace + `', true, (now() at time zone 'utc') + interval '1 hour'),
	('` + session + `5', '` + grace + `', false, (now() at time zone 'utc') + interval '1 hour');`

// TestEveryEndOfASessionIsHeard tests every way in which a session ends in Kratos' database, and that nothing else is heard.
func TestEveryEndOfASessionIsHeard(t *testing.T) {
	d := startDatabase(t)
	d.execFile("../../deploy/kratos/revocations.up.sql")
	d.execFile("../../deploy/kratos/revocations.up.sql") // it may be run again
	d.exec("set timezone to 'Pacific/Auckland';" + people)
	cache, log := listen(t, d.dsn())
	cache.want(t, "all", "sure")

	f := func(sql string, want ...string) {
		t.Helper()
		d.exec(sql)
		d.exec(`notify gatehouse_revocations, 'session marker'`)
		cache.want(t, append(want, "session marker")...)
	}
	const s1, s2, s4 = "session " + session + "1", "session " + session + "2", "session " + session + "4"
	f(`update sessions set active = false where id = '`+session+`1'`, s1)
	f(`update sessions set active = false where id = '` + session + `1'`) // again
	f(`update sessions set active = false where identity_id = '`+ada+`' and id <> '`+session+`1'`, s2)
	f(people, s4, "identity "+ada, "identity "+grace)
	f(`delete from sessions where id = '`+session+`4'`, s4)
	f(`delete from sessions where expires_at < (now() at time zone 'utc')`)       // cleaned up
	f(`update sessions set updated_at = now(), authenticated_at = now()`)         // used
	f(`update sessions set expires_at = expires_at + interval '1 day'`)           // extended
	f(`update sessions set expires_at = now() where id = '`+session+`2'`, s2)     // shortened
	f(`update identities set available_aal = 'aal2', metadata_admin = '{"a":1}'`) // what whoami does not show
	f(`update identities set updated_at = now(), traits = traits, state = state`) // nothing
	f(`update identities set state = 'inactive' where id = '`+ada+`'`, "identity "+ada)
	f(`update identities set traits = '{"email":"x"}' where id = '`+ada+`'`, "identity "+ada)
	f(`update identities set metadata_public = '{"role":"none"}' where id = '`+grace+`'`, "identity "+grace)
	f(`begin; update sessions set active = false; rollback`) // did not happen
	f(people+`update sessions set aal = 'aal2' where id = '`+session+`1'`, s1, "identity "+ada, "identity "+grace)
	f(`truncate sessions`, "all")
	f(`notify gatehouse_revocations, 'what is this'`, "all")
	f(`notify gatehouse_revocations, 'session'`, "all")
	f(`notify gatehouse_revocations, 'echo of another gateway'`)
	f(`notify other, 'session x'`)

	d.execFile("../../deploy/kratos/revocations.down.sql")
	f(people)
	f(`update sessions set active = false`)
	if strings.Contains(log.String(), "ERROR") {
		t.Errorf("log:\n%s", log)
	}
}

// TestDeafListenerSaysSo tests that a listener which cannot hear is never sure, that it says what to do, and that it flushes once it
// hears.
func TestDeafListenerSaysSo(t *testing.T) {
	d := startDatabase(t)
	cache, log := listen(t, d.dsn())
	cache.want(t, "degraded") // no triggers
	log.await(t, "run deploy/kratos/revocations.up.sql")
	d.execFile("../../deploy/kratos/revocations.up.sql")
	drain(t, cache, "all")
	cache.want(t, "sure")

	d.stop() // a crash
	cache.want(t, "degraded")
	d.start()
	drain(t, cache, "all")
	cache.want(t, "sure")

	d.exec(`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'gatehouse'`)
	cache.want(t, "degraded")
	drain(t, cache, "all")
	cache.want(t, "sure")
}

// TestDeadConnectionIsNoticed tests that a connection which is dead without a word is noticed, within bounded time.
func TestDeadConnectionIsNoticed(t *testing.T) {
	d := startDatabase(t)
	d.execFile("../../deploy/kratos/revocations.up.sql")
	cache, _ := listen(t, d.dsn())
	cache.want(t, "all", "sure")
	backend := d.backend()
	if err := syscall.Kill(backend, syscall.SIGSTOP); err != nil { // the connection stays up and nobody answers
		t.Fatal(err)
	}
	cache.want(t, "degraded")
	_ = syscall.Kill(backend, syscall.SIGCONT)
	drain(t, cache, "all")
	cache.want(t, "sure")
}

// backend returns the process that serves the listener.
func (d *database) backend() (pid int) {
	d.t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, d.dsn())
	if err != nil {
		d.t.Fatal(err)
	}
	defer conn.Close(ctx)
	if err := conn.QueryRow(ctx, "select pid from pg_stat_activity where application_name = 'gatehouse'").Scan(&pid); err != nil {
		d.t.Fatal(err)
	}
	return pid
}

// drain takes what the cache is told until it is told want.
func drain(t *testing.T, l *ledger, want string) {
	t.Helper()
	for {
		select {
		case got := <-l.told:
			if got == want {
				return
			}
			if got != "degraded" {
				t.Fatalf("cache is told %q before %q", got, want)
			}
		case <-time.After(time.Minute):
			t.Fatalf("cache is not told %q", want)
		}
	}
}

// TestAddressIsNotTold tests that an address that cannot be read, which may hold a password, is not in the error, nor in the log of a
// database that cannot be reached.
func TestAddressIsNotTold(t *testing.T) {
	_, err := postgres.New("postgres://u:hunter2@host:notaport/db", &ledger{told: make(chan string, 1)}, func() {}, slog.New(slog.DiscardHandler))
	if err == nil || strings.Contains(err.Error(), "hunter2") || errors.Unwrap(err) != nil {
		t.Errorf("error is %v", err)
	}
	cache, log := listen(t, "postgres://u:hunter2@127.0.0.1:"+strconv.Itoa(freePort(t))+"/db?sslmode=disable")
	cache.want(t, "degraded")
	if log.await(t, "not heard"); strings.Contains(log.String(), "hunter2") {
		t.Errorf("log:\n%s", log)
	}
}

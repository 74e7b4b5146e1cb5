//go:build !core

package extauthz

import (
	"context"
	"errors"
	"net"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"

	"github.com/gatehouse-proxy/gatehouse/proxy"
)

// A Judge answers questions. It is safe for concurrent use.
type Judge interface {
	Judge(q *proxy.Description) proxy.Outcome
}

// A Server answers Envoy. Its connections are not encrypted.
type Server struct{ grpc *grpc.Server }

// Limits of a Server. Envoy sends the head of a request, which it bounds to 60 KiB by default, and of a body what it is told to.
const (
	maxMessage     = 1 << 20
	maxStreams     = 10_000           // questions at once on one connection
	connectTimeout = 10 * time.Second // for the first bytes of HTTP/2
	pingAfter      = time.Minute      // without a byte, whether anybody is still there
	pingTimeout    = 20 * time.Second
	pingsAtMost    = 10 * time.Second // between two of Envoy's own
)

// New returns a Server that serves nothing yet.
func New(judge Judge) *Server {
	s := &Server{grpc: grpc.NewServer(
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.ConnectionTimeout(connectTimeout),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: pingAfter, Timeout: pingTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: pingsAtMost, PermitWithoutStream: true}),
	)}
	authv3.RegisterAuthorizationServer(s.grpc, &service{judge: judge})
	return s
}

// Serve serves the connections that ln accepts until Shutdown is called, and then returns nil. It closes ln.
func (s *Server) Serve(ln net.Listener) error {
	if err := s.grpc.Serve(ln); !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil
}

// Shutdown stops accepting, also for a Serve that is yet to come, and waits until all questions are answered. What is left when ctx ends is
// cut off, and the error is that of ctx.
func (s *Server) Shutdown(ctx context.Context) error {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.grpc.GracefulStop()
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		s.grpc.Stop()
		<-ended
		return ctx.Err()
	}
}

// A service is the service that Envoy knows.
type service struct {
	authv3.UnimplementedAuthorizationServer
	judge Judge
}

// Check implements [authv3.AuthorizationServer].
func (s *service) Check(ctx context.Context, req *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	q := description(req)
	if p, ok := peer.FromContext(ctx); ok {
		q.Peer = p.Addr
	}
	o := s.judge.Judge(q)
	return answer(&o), nil
}

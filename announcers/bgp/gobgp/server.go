// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	api "github.com/osrg/gobgp/v3/api"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"

	"metalsuite.io/announcers/bgp"
)

// server is one GoBGP server in a child, as its client sees it.
type server struct {
	child  *child
	number int
	conn   *grpc.ClientConn
	api    api.GobgpApiClient
	// attempts counts what its relay was told to begin, for all sessions that have had the server one after another.
	attempts int
}

// socketWait bounds the pause between two looks whether a new server listens; stopWait bounds how long one is waited for that is to stop.
const (
	socketWait = 20 * time.Millisecond
	stopWait   = time.Second
)

func newServer(c *child, number int, path string) (*server, error) {
	conn, err := grpc.NewClient("unix:"+path,
		grpc.WithTransportCredentials(insecure.NewCredentials()), // the folder of the socket lets nobody else in
		grpc.WithNoProxy(), grpc.WithDisableServiceConfig(),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 2 * time.Millisecond, Multiplier: 1.5, MaxDelay: socketWait},
			MinConnectTimeout: time.Second,
		}))
	if err != nil {
		return nil, err
	}
	return &server{child: c, number: number, conn: conn, api: api.NewGobgpApiClient(conn)}, nil
}

// forget closes the connection to the server.
func (s *server) forget() { _ = s.conn.Close() } // fails only when it is closed

// answer waits until the server is there. GoBGP only logs when it cannot listen.
func (s *server) answer(ctx context.Context) error {
	ctx, cancel := either(ctx, s.child.alive)
	defer cancel()
	_, err := s.api.GetBgp(ctx, &api.GetBgpRequest{}, grpc.WaitForReady(true))
	return err
}

const policyName = "own"

// start makes the server a router. It lets nothing into its table but what we put there: whatever the peer sends is neither used nor passed
// on.
func (s *server) start(ctx context.Context, settings bgp.Settings) error {
	s.child.starting.Lock()
	defer s.child.starting.Unlock()
	global := &api.Global{Asn: settings.LocalASN, RouterId: settings.RouterID.String(), ListenPort: -1}
	if _, err := s.api.StartBgp(ctx, &api.StartBgpRequest{Global: global}); err != nil {
		return fmt.Errorf("starting a router: %w", err)
	}
	policy := &api.Policy{Name: policyName, Statements: []*api.Statement{{
		Name:       policyName,
		Conditions: &api.Conditions{RouteType: api.Conditions_ROUTE_TYPE_LOCAL},
		Actions:    &api.Actions{RouteAction: api.RouteAction_ACCEPT},
	}}}
	if _, err := s.api.AddPolicy(ctx, &api.AddPolicyRequest{Policy: policy}); err != nil {
		return fmt.Errorf("adding the import policy: %w", err)
	}
	assignment := &api.PolicyAssignment{
		Name: "global", Direction: api.PolicyDirection_IMPORT, Policies: []*api.Policy{{Name: policyName}}, DefaultAction: api.RouteAction_REJECT,
	}
	if _, err := s.api.SetPolicyAssignment(ctx, &api.SetPolicyAssignmentRequest{Assignment: assignment}); err != nil {
		return fmt.Errorf("setting the import policy: %w", err)
	}
	return nil
}

// stop empties the server, so that it can be started again. A server whose peer takes nothing does not stop; it is left to itself.
func (s *server) stop() {
	s.child.listen(s.number, nil)
	_ = s.child.hangUp(s.number) // fails only when the process has ended
	ctx, cancel := context.WithTimeout(s.child.alive, stopWait)
	defer cancel()
	if _, err := s.api.StopBgp(ctx, &api.StopBgpRequest{}); err == nil {
		s.child.giveBack(s)
	}
}

// peer returns what GoBGP knows of its one peer; nil when it has none.
func (s *server) peer(ctx context.Context) (*api.Peer, error) {
	stream, err := s.api.ListPeer(ctx, &api.ListPeerRequest{})
	if err != nil {
		return nil, err
	}
	var found *api.Peer
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		found = r.GetPeer()
	}
}

// pathsPerMessage keeps a message far below the 4 MiB that gRPC takes.
const pathsPerMessage = 500

// update sends paths, those to be withdrawn among them.
func (s *server) update(ctx context.Context, paths []*api.Path) error {
	if len(paths) == 0 {
		return nil
	}
	stream, err := s.api.AddPathStream(ctx)
	if err != nil {
		return err
	}
	for len(paths) > 0 {
		n := min(len(paths), pathsPerMessage)
		// io.EOF says that GoBGP has given an answer already.
		if err := stream.Send(&api.AddPathStreamRequest{Paths: paths[:n]}); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		paths = paths[n:]
	}
	_, err = stream.CloseAndRecv()
	return err
}

// either returns a context that ends with the first of two.
func either(ctx, other context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(other, func() { cancel(context.Cause(other)) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

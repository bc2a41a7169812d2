// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/bgp"
)

// beParent is an engine with as many sessions as it is told to have. It prints the IDs of its children and goes on until it is killed.
func beParent(arguments []string) error {
	n, err := strconv.Atoi(arguments[1])
	if err != nil {
		return err
	}
	ctx := context.Background()
	e := New(Options{Log: logr.Discard(), Args: []string{childArgument}, Folder: arguments[0]})
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	for range n {
		s, err := e.Open(ctx, bgp.Settings{
			PeerSettings: announcers.PeerSettings{LocalASN: 64512, RemoteASN: 64999, Port: 1, RouterID: netip.MustParseAddr("192.0.2.1")},
			Remote:       netip.MustParseAddr("127.0.0.1"), IPv4: true,
		})
		if err != nil {
			return err
		}
		fmt.Println(s.(*session).child.command.Process.Pid)
	}
	return <-ended
}

func TestNoChildOutlivesItsParent(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	folder := t.TempDir()
	parent := exec.Command("/proc/self/exe", parentArgument, folder, "3")
	parent.Stderr = os.Stderr
	out, err := parent.StdoutPipe()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(parent.Start()).To(Succeed())
	var children []int
	for lines := bufio.NewScanner(out); len(children) < 3 && lines.Scan(); {
		pid, err := strconv.Atoi(lines.Text())
		g.Expect(err).NotTo(HaveOccurred())
		fd, err := unix.PidfdOpen(pid, 0)
		g.Expect(err).NotTo(HaveOccurred())
		defer unix.Close(fd)
		children = append(children, fd)
	}
	g.Expect(children).To(HaveLen(3))
	g.Expect(parent.Process.Kill()).To(Succeed())
	_, _ = io.Copy(io.Discard, out)
	_ = parent.Wait()
	for _, fd := range children {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(patience.Milliseconds()))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(n).To(Equal(1), "the child goes on")
	}

	left, err := filepath.Glob(filepath.Join(folder, folderPattern))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(left).To(HaveLen(1))
	f, err := newFolder(folder)
	g.Expect(err).NotTo(HaveOccurred())
	other, err := newFolder(folder)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(left[0]).NotTo(BeADirectory(), "what a killed process left is removed")
	g.Expect(f.path).To(BeADirectory(), "that of a living one is not")
	g.Expect(f.remove()).To(Succeed())
	g.Expect(other.remove()).To(Succeed())
}

func TestChildrenHaveNoPower(t *testing.T) {
	t.Parallel()
	e := startEngine(t, 1)
	s := e.open(t, newPuppet(t, "127.0.0.1").settings())
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.Session.(*session).child.command.Process.Pid))
	s.Expect(err).NotTo(HaveOccurred())
	const none = "0000000000000000"
	for _, want := range []string{"CapInh:\t" + none, "CapPrm:\t" + none, "CapEff:\t" + none, "CapAmb:\t" + none, "NoNewPrivs:\t1"} {
		s.Expect(strings.Split(string(status), "\n")).To(ContainElement(want))
	}
}

// soakSessions is the environment variable with how many sessions are opened and closed, for soaking.
const soakSessions = "SOAK_BGP_SESSIONS"

// holdings are what must not grow.
type holdings struct{ Goroutines, Files, Children int }

func TestNothingIsLeftOfClosedSessions(t *testing.T) {
	n := 40
	if text := os.Getenv(soakSessions); text != "" {
		var err error
		n, err = strconv.Atoi(text)
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
	}
	t.Run("in processes of their own", func(t *testing.T) { openAndClose(t, n, 16) })
	t.Run("in shared processes", func(t *testing.T) { openAndClose(t, n, 2) })
}

func openAndClose(t *testing.T, n, children int) {
	g := NewWithT(t)
	e := startEngine(t, children)
	p := newPuppet(t, "127.0.0.1")
	stays := e.open(t, p.settings())
	e.open(t, p.settings())
	e.open(t, p.settings()).Close() // if it had a server in a shared process, that is used again from here on
	inChild := func() holdings { return holdingsOf(t, stays.Session.(*session).child.command.Process.Pid) }
	before, childBefore := holdingsOf(t, os.Getpid()), inChild()
	for i := range n {
		s := e.open(t, p.settings())
		s.announce(route("198.51.100.1/32"))
		if i%2 == 0 {
			s.connect()
		}
		s.Close()
	}
	g.Eventually(func() holdings { return holdingsOf(t, os.Getpid()) }, patience).Should(And(
		HaveField("Goroutines", BeNumerically("<=", before.Goroutines)), HaveField("Files", BeNumerically("<=", before.Files)),
		HaveField("Children", BeNumerically("<=", before.Children))), "in the parent")
	g.Eventually(inChild, patience).Should(And(
		HaveField("Files", BeNumerically("<=", childBefore.Files+5)), HaveField("Children", 0)), "in the child")
}

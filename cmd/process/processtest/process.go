// SPDX-License-Identifier: Apache-2.0

package processtest

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// FreePort returns a port of a host that nobody listened on a moment ago.
func FreePort(host string) int {
	GinkgoHelper()
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	Expect(err).NotTo(HaveOccurred())
	defer func() { Expect(listener.Close()).To(Succeed()) }()
	return listener.Addr().(*net.TCPAddr).Port
}

// Health returns the status of the answer to a health check, such as healthz.
func Health(host string, port int, check string) (int, error) {
	answer, err := http.Get(fmt.Sprintf("http://%s:%d/%s", host, port, check))
	if err != nil {
		return 0, err
	}
	return answer.StatusCode, answer.Body.Close()
}

// APIServer returns the process of envtest's API server, a child of this process.
func APIServer() int {
	GinkgoHelper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	Expect(err).NotTo(HaveOccurred())
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		var pid, parent int
		var name, state string
		if n, _ := fmt.Sscan(string(text), &pid, &name, &state, &parent); n == 4 && parent == os.Getpid() && strings.HasPrefix(name, "(kube-apiserver") {
			return pid
		}
	}
	Fail("no API server")
	return 0
}

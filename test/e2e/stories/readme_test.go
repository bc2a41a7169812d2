// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// fromReadme matches the commands of the README that change the reader's cluster.
var fromReadme = regexp.MustCompile(`(?m)^kubectl (apply .*?)(?: +#.*)?$`)

var _ = Describe("The README", func() {
	It("accepts the commands of the README", func(ctx context.Context) {
		readme, err := os.ReadFile(filepath.Join("..", "..", "..", "README.md"))
		Expect(err).NotTo(HaveOccurred())
		commands := fromReadme.FindAllStringSubmatch(string(readme), -1)
		Expect(len(commands)).To(BeNumerically(">=", 2), "the README installs the suite and the samples")
		for _, command := range commands {
			// The API server checks everything and keeps nothing: the images and addresses of the README are the reader's.
			args := append(strings.Fields(command[1]), "--dry-run=server", "--force-conflicts", "--server-side")
			out, err := cluster.Kubectl(ctx, "", args...)
			Expect(err).NotTo(HaveOccurred(), "kubectl %s: %s", command[1], out)
		}
	})
})

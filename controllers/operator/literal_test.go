// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"strings"
	"testing"

	"metalsuite.io/api/v1beta1"
)

// kubelet does with an argument what kubelets do: $$ becomes $, and $(NAME) the variable, here the word REPLACED.
func kubelet(argument string) string {
	var out strings.Builder
	for i := 0; i < len(argument); i++ {
		rest := argument[i:]
		switch end := strings.IndexByte(rest, ')'); {
		case strings.HasPrefix(rest, "$$"):
			out.WriteByte('$')
			i++
		case strings.HasPrefix(rest, "$(") && end > 0:
			out.WriteString("REPLACED")
			i += end
		default:
			out.WriteByte(argument[i])
		}
	}
	return out.String()
}

func TestExpressionsReachTheSpeakerAsGiven(t *testing.T) {
	for _, expression := range []string{"^lo$", "^eth[01]$|^lo$", `^a\$$`, "^(lo$)(METALLB_NODE_NAME)", "x$(METALLB_NODE_NAME)", "$$$", "a$$(b)", ".*", ""} {
		args := excludeArgs([]v1beta1.Announcer{{Name: "l2", L2: &v1beta1.L2Announcer{ExcludeInterfaces: []string{expression}}}})
		if got := kubelet(args[0]); got != "--exclude-interfaces="+expression {
			t.Errorf("%s arrives as %s", expression, got)
		}
	}
}

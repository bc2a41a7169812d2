// SPDX-License-Identifier: Apache-2.0

// Package docs checks every command of the README and the user guide: paths, make targets, kinds, subcommands and flags must exist.
//
// Commands are the lines of "sh" blocks, the lines of other blocks that start with "$ ", and inline code that starts with kubectl, make or
// metalsuite. Upper-case words are placeholders. Programs that are not ours are listed in the test with what they stand for.
package docs

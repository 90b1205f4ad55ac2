// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

/** Ends a command with an error reply. The command must not have sent a reply yet. The messages are those of Redis. */
final class ReplyException extends RuntimeException {

    private static final long serialVersionUID = 1;

    static final String SYNTAX_ERROR = "ERR syntax error";
    static final String NOT_AN_INTEGER = "ERR value is not an integer or out of range";

    ReplyException(String message) {
        super(message, null, false, false);
    }

    static ReplyException wrongNumberOfArguments(String command) {
        return new ReplyException("ERR wrong number of arguments for '" + command + "' command");
    }

    static ReplyException unknownSubcommand(Command command, Request words) {
        return new ReplyException("ERR unknown subcommand '" + words.text(1, Request.MAX_REPEATED) + "'. Try "
                + command.name() + " HELP.");
    }

    static ReplyException invalidExpireTime(Command command) {
        return new ReplyException("ERR invalid expire time in '" + command.lowerName + "' command");
    }

    @Override
    public String getMessage() {
        return String.valueOf(super.getMessage());
    }
}

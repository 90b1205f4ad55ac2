// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.site;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** What is read from module descriptors. */
final class Modules {

    private static final Pattern NAME = Pattern.compile("(?m)^(?:open )?module ([\\w.]+)");

    private Modules() {}

    static String nameOf(Path descriptor) throws IOException {
        Matcher matcher = NAME.matcher(Files.readString(descriptor));
        if (!matcher.find()) {
            throw new IOException("no module in " + descriptor);
        }
        return matcher.group(1);
    }
}

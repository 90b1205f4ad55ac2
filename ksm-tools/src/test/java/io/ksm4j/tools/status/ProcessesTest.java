// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.status;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ProcessesTest {

    @ParameterizedTest
    @CsvSource({
        "java com.acme.Main --port 80, com.acme.Main",
        "/usr/bin/java -cp a:b -Xmx1g com.acme.Main, com.acme.Main",
        "java --class-path=a --add-modules x.y -ea com.acme.Main, com.acme.Main",
        "java -Dx=y -jar /opt/app/server.jar start, server.jar",
        "java -p mods -m com.acme/com.acme.Main, com.acme/com.acme.Main",
        "java --module=com.acme, com.acme",
        "java -Xmx1g @arguments, java @arguments",
        "java --source 17 Program.java, Program.java",
        "java -jar, ''",
        "java -version, ''",
        "java, ''",
        "javac Main.java, ''",
        "'', ''",
        "/opt/notjava x, ''"
    })
    void findsTheMainClassInTheArguments(String arguments, String name) {
        assertThat(Processes.nameByArguments(List.of(arguments.split(" ", -1)))).isEqualTo(name);
    }

    @Test
    @EnabledOnOs(OS.LINUX)
    void namesContainNoControlCharacters() throws IOException {
        String script = "printf '\\033[2J\\a\\rx\\177' > /proc/$$/comm; echo renamed; read -r line";
        Process shell = new ProcessBuilder("bash", "-c", script).start();
        try {
            assertThat(shell.inputReader().readLine()).isEqualTo("renamed");

            assertThat(Processes.nameOf(shell.pid())).isEqualTo("?[2J??x?");
        } finally {
            shell.destroyForcibly();
        }
    }

    @Test
    void anEndedProcessHasNoName() {
        assertThat(Processes.nameOf(Long.MAX_VALUE)).isEqualTo("?");
    }
}

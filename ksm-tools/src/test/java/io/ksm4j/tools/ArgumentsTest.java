// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.tools.output.ExitStatus;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Command lines that are rejected before anything is done. */
class ArgumentsTest {

    @ParameterizedTest
    @ValueSource(
            strings = {
                "attach",
                "attach --on --off 1",
                "doctor 1",
                "status --nonsense",
                "status 99999999999999999999",
                "status 1 2",
                "estimate",
                "estimate 0",
                "estimate -1",
                "estimate one",
                "estimate --sample 3 1",
                "estimate --sample 0 1",
                "estimate --sample -2147483648 1",
                "estimate --memory 1 1",
                "estimate --memory 1x 1",
                "estimate --memory -1g 1",
                "estimate --stable -1 1",
                "estimate --stable 3601 1",
                "estimate --sketch web.sketch 1",
                "estimate --key-file ksm.key 1",
                "estimate --group web 1",
                "estimate --sketch web.sketch --key-file ksm.key --group -x 1",
                "estimate --sketch web.sketch --key-file ksm.key --sample 2 1",
                "place",
                "place web.sketch",
                "place --hosts 1",
                "place --hosts 0 web.sketch",
                "place --hosts 1 web.sketch ./web.sketch",
                "place --hosts 1 --memory 1x web.sketch",
                "place --hosts 1 --overcommit web.sketch",
                "place --hosts 1 --spread web web.sketch",
                "place --hosts 1 --spread web=0 web.sketch",
                "place --hosts 1 --spread web=two web.sketch",
                "place --hosts 1 --pairs -1 web.sketch",
                "place --hosts 1 --label a/b/c web.sketch",
                "run",
                "run --json true",
                "tune 1",
                "tune --cpu 0",
                "tune --cpu 101",
                "tune --cpu all",
                "tune --cpu 20 --policy ksmtuned",
                "tune --policy",
                "tune --policy fast",
                "tune --scan-time 30",
                "tune --scan-time 0 --policy advisor",
                "tune --scan-time 4294967296 --policy advisor",
                "tune --set KSM_NPAGES_MAX=9",
                "tune --set KSM_NPAGES_MAX --policy ksmtuned",
                "tune --set KSM_NPAGES_MAX=many --policy ksmtuned",
                "tune --set KSM_NPAGES_MAX=9 --policy ksmtuned",
                "tune --set NONSENSE=1 --policy ksmtuned",
                "tune --metrics 65536",
                "tune --metrics -1",
                "tune --metrics host:"
            })
    void rejectsInvalidArgumentsInOneLine(String arguments) {
        String[] words = arguments.split(" ", -1);

        assertThat(refusal(words))
                .startsWith("ksm: ")
                .endsWith(": see ksm " + words[0] + " --help\n")
                .hasLineCount(1);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "statsu            | there is no command statsu (did you mean status?): see ksm --help",
                "zzzzz             | there is no command zzzzz: see ksm --help",
                "help statsu       | there is no command statsu: see ksm --help",
                "status --jsn      | Unknown option: '--jsn' (did you mean --json?): see ksm status --help",
                "attach x | Invalid value for positional parameter at index 0 (PID): 'x' is not a whole number:"
                        + " see ksm attach --help",
                "estimate --sketch web.sketch 1 | --sketch needs --key-file FILE, the secret of your fleet: create one"
                        + " with (umask 077; head -c 32 /dev/urandom > ksm.key), and use the same on every host:"
                        + " see ksm estimate --help",
                "tune --policy PRESSURE --cpu 0 | invalid --cpu 0: must be 1 to 100 percent: see ksm tune --help"
            })
    void suggestsWhatTheUserMayMean(String arguments, String message) {
        assertThat(refusal(arguments.split(" ", -1))).isEqualTo("ksm: " + message + "\n");
    }

    /** Returns the message for a rejected command line. */
    private static String refusal(String... words) {
        ByteArrayOutputStream errors = new ByteArrayOutputStream();
        PrintStream before = System.err;
        System.setErr(new PrintStream(errors, true, StandardCharsets.UTF_8));
        int status;
        try {
            status = KsmCommand.commandLine().execute(words);
        } finally {
            System.setErr(before);
        }

        assertThat(status).isEqualTo(ExitStatus.USAGE);
        return errors.toString(StandardCharsets.UTF_8);
    }
}

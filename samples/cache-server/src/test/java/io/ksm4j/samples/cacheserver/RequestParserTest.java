// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.samples.cacheserver.RequestParser.ProtocolException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;

/** Parses requests that arrive in pieces, and keys. */
class RequestParserTest {

    private static final RequestLimits LIMITS = new RequestLimits(1 << 20, 1 << 30, Duration.ofMinutes(1));

    /** Returns a request with these words. */
    static Request request(String... words) {
        RequestParser parser = new RequestParser(LIMITS, () -> true);
        parser.setInput(ByteBuffer.wrap(encode(List.of(words)).getBytes(ISO_8859_1)));
        try {
            assertThat(parser.parse()).isTrue();
        } catch (ProtocolException e) {
            throw new AssertionError(e);
        }
        return parser.request;
    }

    static Key key(int tenant, String name) {
        return new Key(tenant, request(name), 0);
    }

    /** Returns the bytes of a request with these words, as text. */
    static String encode(List<String> words) {
        StringBuilder text = new StringBuilder("*" + words.size() + "\r\n");
        words.forEach(word -> text.append('$')
                .append(word.length())
                .append("\r\n")
                .append(word)
                .append("\r\n"));
        return text.toString();
    }

    @Property
    void findsTheSameRequestsWhereverTheyAreCut(
            @ForAll("requests") List<List<String>> requests, @ForAll("cuts") List<Double> cuts)
            throws ProtocolException {
        byte[] all = String.join(
                        "", requests.stream().map(RequestParserTest::encode).toList())
                .getBytes(ISO_8859_1);
        RequestParser parser = new RequestParser(LIMITS, () -> true);
        List<List<String>> found = new ArrayList<>();
        int position = 0;
        for (double cut : cuts.stream().sorted().toList()) {
            // Another buffer, in which the current request is at another position.
            byte[] moved = new byte[all.length + cuts.size()];
            System.arraycopy(all, position, moved, cuts.size(), all.length - position);
            int arrived = Math.max(position, (int) Math.round(cut * all.length));
            parser.setInput(ByteBuffer.wrap(moved, cuts.size(), arrived - position));
            while (parser.parse()) {
                found.add(IntStream.range(0, parser.request.size())
                        .mapToObj(parser.request::text)
                        .toList());
                parser.skip();
            }
            position += parser.position() - cuts.size();
        }
        assertThat(found).isEqualTo(requests);
        assertThat(parser.isEmpty()).isTrue();
    }

    @Provide
    Arbitrary<List<List<String>>> requests() {
        Arbitrary<String> word = Arbitraries.strings()
                .withCharRange('\0', '\u00ff')
                .withChars("\r\n$*")
                .ofMaxLength(40);
        return word.list().ofMinSize(1).ofMaxSize(12).list().ofMaxSize(5);
    }

    @Provide
    Arbitrary<List<Double>> cuts() {
        return Arbitraries.doubles().between(0, 1).list().ofMaxSize(8).map(list -> {
            List<Double> cuts = new ArrayList<>(list);
            cuts.add(1.0);
            return cuts;
        });
    }

    @Property
    void keysAreEqualIfNamesAndTenantsAre(@ForAll("names") List<String> names) {
        for (String one : names) {
            for (String other : names) {
                Key key = key(1, one);
                // Bytes follow in the buffer, unlike for the first key.
                Key same = new Key(1, request("GET", other, "more, longer than a word"), 1);
                assertThat(key.equals(same)).isEqualTo(one.equals(other));
                assertThat(key.compareTo(same) == 0).isEqualTo(one.equals(other));
                assertThat(key.compareTo(same)).isEqualTo(-same.compareTo(key));
                if (one.equals(other)) {
                    assertThat(key).hasSameHashCodeAs(same);
                }
                assertThat(key(2, one))
                        .isNotEqualTo(key)
                        .satisfies(it -> assertThat(it.tenant()).isEqualTo(2));
            }
        }
    }

    @Provide
    Arbitrary<List<String>> names() {
        Arbitrary<String> begin = Arbitraries.integers().between(0, 40).map("x"::repeat);
        Arbitrary<String> end = Arbitraries.of("", "\0", "\0\0", "a", "\u00ff", "b");
        return Combinators.combine(begin, end)
                .as(String::concat)
                .list()
                .ofMinSize(2)
                .ofMaxSize(5);
    }

    @Example
    void commandsAreFoundByTheirWholeNames() {
        assertThat(Command.of(request("gEt"), 0)).isEqualTo(Command.GET);
        assertThat(Command.of(request("incrbyfloat"), 0)).isEqualTo(Command.INCRBYFLOAT);
        assertThat(Command.of(request("\0GET"), 0)).isNull();
        assertThat(Command.of(request("GETX"), 0)).isNull();
        assertThat(Command.of(request(""), 0)).isNull();
    }

    @Example
    void wordsAreBounded() {
        Request request = request("SET", "name", "value");

        assertThat(request.size()).isEqualTo(3);
        assertThat(request.text(2, 3)).isEqualTo("val");
        assertThat(request.upper(1)).isEqualTo("NAME");
        assertThat(request.value(2)).isEqualTo(ByteBuffer.wrap("value".getBytes(ISO_8859_1)));
        assertThat(request.bytes(2, 3)).isEqualTo("ue".getBytes(ISO_8859_1));
    }
}

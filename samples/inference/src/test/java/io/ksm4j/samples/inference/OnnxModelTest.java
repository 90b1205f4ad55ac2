// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.inference;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.protobuf.ByteString;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.UnknownFieldSet;
import java.io.IOException;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The numbers of the fields are those of onnx.proto. The bytes are read with a library of others. */
class OnnxModelTest {

    private static final int WIDTH = 128;
    private static final int PAGE = 4096;

    @TempDir
    private Path directory;

    @Test
    void theSizeIsAboutTheOneThatIsAskedFor() {
        assertThat(OnnxModel.ofSize(128 << 20, 0).size()).isEqualTo(128 << 20);
        assertThat(OnnxModel.ofSize(1 << 30, 0).size()).isBetween((1L << 30) - (1 << 20), 1L << 30);
    }

    @Test
    void itIsAGraphOfProductsAndFunctions() throws IOException {
        UnknownFieldSet model = UnknownFieldSet.parseFrom(write(new OnnxModel(WIDTH, 1)));
        UnknownFieldSet graph = messages(model, 7).get(0);

        assertThat(model.getField(1).getVarintList()).as("ir_version").containsExactly(8L);
        assertThat(messages(model, 8))
                .as("opset_import")
                .singleElement()
                .satisfies(
                        opset -> assertThat(opset.getField(2).getVarintList()).containsExactly(17L));
        assertThat(messages(graph, 1).stream().map(node -> texts(node, 4)))
                .containsExactly(List.of("MatMul"), List.of("Tanh"), List.of("MatMul"), List.of("Tanh"));
        assertThat(messages(graph, 1).stream().map(node -> texts(node, 1)))
                .containsExactly(List.of("x0", "w0"), List.of("y0"), List.of("x1", "w1"), List.of("y1"));
        assertThat(messages(graph, 1).stream().map(node -> texts(node, 2)))
                .containsExactly(List.of("y0"), List.of("x1"), List.of("y1"), List.of("x2"));
        assertThat(texts(messages(graph, 11).get(0), 1)).as("input").containsExactly("x0");
        assertThat(texts(messages(graph, 12).get(0), 1)).as("output").containsExactly("x2");
    }

    @Test
    void theWeightsAreNumbersWithinTheirBoundAndNoPageHasAnEqualOne() throws IOException {
        UnknownFieldSet graph = messages(UnknownFieldSet.parseFrom(write(new OnnxModel(WIDTH, 1))), 7)
                .get(0);
        Set<ByteString> pages = new HashSet<>();

        for (UnknownFieldSet tensor : messages(graph, 5)) {
            assertThat(tensor.getField(1).getVarintList()).as("dims").containsExactly((long) WIDTH, (long) WIDTH);
            assertThat(tensor.getField(2).getVarintList()).as("data_type").containsExactly(1L);
            ByteString data = tensor.getField(9).getLengthDelimitedList().get(0);
            FloatBuffer weights =
                    data.asReadOnlyByteBuffer().order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer();
            assertThat(weights.remaining()).isEqualTo(WIDTH * WIDTH);
            double bound = Math.sqrt(3.0 / WIDTH);
            while (weights.hasRemaining()) {
                assertThat((double) weights.get()).isBetween(-bound, bound);
            }
            for (int i = 0; i < data.size(); i += PAGE) {
                pages.add(data.substring(i, i + PAGE));
            }
        }
        assertThat(pages).hasSize(OnnxModel.LAYERS * WIDTH * WIDTH * Float.BYTES / PAGE);
    }

    @Test
    void theSeedDecidesOnTheBytes() throws IOException {
        byte[] model = write(new OnnxModel(WIDTH, 1));

        assertThat(write(new OnnxModel(WIDTH, 1))).isEqualTo(model);
        assertThat(write(new OnnxModel(WIDTH, 2))).hasSameSizeAs(model).isNotEqualTo(model);
    }

    private byte[] write(OnnxModel model) throws IOException {
        Path file = directory.resolve("model");
        model.write(file);
        return Files.readAllBytes(file);
    }

    private static List<UnknownFieldSet> messages(UnknownFieldSet message, int field) {
        return message.getField(field).getLengthDelimitedList().stream()
                .map(OnnxModelTest::parse)
                .toList();
    }

    private static UnknownFieldSet parse(ByteString bytes) {
        try {
            return UnknownFieldSet.parseFrom(bytes);
        } catch (InvalidProtocolBufferException e) {
            throw new AssertionError(e);
        }
    }

    private static List<String> texts(UnknownFieldSet message, int field) {
        return message.getField(field).getLengthDelimitedList().stream()
                .map(ByteString::toStringUtf8)
                .toList();
    }
}

// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.kernels;

import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import org.junit.jupiter.api.extension.ConditionEvaluationResult;
import org.junit.jupiter.api.extension.ExecutionCondition;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.platform.commons.support.AnnotationSupport;

/** Evaluates {@link OnlyIn}. */
final class OnlyInCondition implements ExecutionCondition {

    /** The JUnit parameter that names the situation. */
    static final String SITUATION = "situation";

    @Override
    public ConditionEvaluationResult evaluateExecutionCondition(ExtensionContext context) {
        Situation now = context.getConfigurationParameter(SITUATION)
                .flatMap(Situation::of)
                .orElseThrow();
        List<Situation> wanted = AnnotationSupport.findAnnotation(context.getElement(), OnlyIn.class)
                .map(in -> Arrays.asList(in.value()))
                .orElse(List.of(now));
        return wanted.contains(now)
                ? ConditionEvaluationResult.enabled("in this situation")
                : ConditionEvaluationResult.disabled(wanted.stream()
                        .map(Situation::word)
                        .collect(Collectors.joining(", ", "in the situation ", " only")));
    }
}

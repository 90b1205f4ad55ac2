// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.junit;

import java.util.Optional;
import org.junit.jupiter.api.extension.ConditionEvaluationResult;
import org.junit.jupiter.api.extension.ExecutionCondition;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.platform.commons.support.AnnotationSupport;
import org.opentest4j.AssertionFailedError;

/** Evaluates {@link EnabledIfKsm} for a test class or method. */
final class KsmCondition implements ExecutionCondition {

    @Override
    public ConditionEvaluationResult evaluateExecutionCondition(ExtensionContext context) {
        Optional<EnabledIfKsm> annotation = AnnotationSupport.findAnnotation(context.getElement(), EnabledIfKsm.class);
        if (annotation.isEmpty()) {
            return ConditionEvaluationResult.enabled("evaluated for the class");
        }
        Optional<Obstacle> obstacle = Obstacle.find(annotation.get().control());
        if (obstacle.isEmpty()) {
            return ConditionEvaluationResult.enabled("memory can be marked mergeable");
        }
        boolean required = context.getConfigurationParameter(Obstacle.REQUIRED)
                .map(Boolean::parseBoolean)
                .orElse(false);
        Optional<String> failure = obstacle.get().failure(required);
        if (failure.isPresent()) {
            // A condition can only enable or disable. JUnit reports an error, unlike an exception, as the failure of
            // the test.
            throw new AssertionFailedError(failure.get());
        }
        String reason = obstacle.get().reason();
        // Surefire counts skipped tests and does not print the reason.
        System.err.println(name(context) + " is skipped: " + reason);
        return ConditionEvaluationResult.disabled(reason);
    }

    private static String name(ExtensionContext context) {
        String testClass = context.getRequiredTestClass().getSimpleName();
        return context.getTestMethod().isEmpty() ? testClass : testClass + "." + context.getDisplayName();
    }
}
